// The theme before anything is painted: what was chosen, else what the system says.
(() => {
  let kept = null;
  try {
    kept = localStorage.getItem("tonnage-theme");
  } catch {
    kept = null;
  }
  if (kept === "dark" || kept === "light") document.documentElement.dataset.theme = kept;
})();
