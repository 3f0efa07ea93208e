"""`tonnage completion bash|zsh|fish`: the script by which a shell completes verbs, flags, models and chips."""

from __future__ import annotations

from typing import Literal

from tonnage.cli.common import PLAIN, PlainOptions, put


def completion(shell: Literal["bash", "zsh", "fish"], /, *, common: PlainOptions = PLAIN) -> int:
    """Print the script by which a shell completes verbs, flags, and names of models, chips, engines and places.

    Parameters
    ----------
    shell
        bash: `source <(tonnage completion bash)` in ~/.bashrc; zsh: the same in ~/.zshrc, after compinit; fish:
        `tonnage completion fish > ~/.config/fish/completions/tonnage.fish`.
    """
    from tonnage import files
    from tonnage.cli.arguments import verbs
    from tonnage.cli.choices import names
    from tonnage.cli.shells import SHELLS

    text = SHELLS[shell](verbs(), names())
    files.write_all([(path, text) for path in common.output])
    put(text)
    return 0
