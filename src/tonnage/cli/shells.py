"""What is completed as a script of bash, zsh or fish. All names stand in it, so that a tab starts nothing."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping

from tonnage.cli.arguments import Option, VerbWords
from tonnage.cli.choices import kind

COUNTS = ("8x", "16x", "32x", "64x", "128x", "256x", "512x", "1024x", "2048x", "1x", "2x", "4x")
"""Offered before a chip is named: its count comes first (`8xh20`)."""

Names = Mapping[str, tuple[str, ...]]


def quoted(text: str) -> str:
    """In single quotes, for all three shells (no apostrophe is left)."""
    return "'" + re.sub(r"[\\'\x00-\x1f\x7f]", "", text.replace("'", "’")) + "'"


def variable(name: str) -> str:
    """Of the names of a kind."""
    return f"_tonnage_{name}"


def brief(text: str, most: int = 70) -> str:
    """The first clause of a help text."""
    clause = re.split(r"(?<=\w)[;:.](?:\s|$)", text, maxsplit=1)[0].strip()
    return clause if len(clause) <= most else clause[: most - 3].rsplit(" ", 1)[0] + "..."


def spelled(option: Option) -> tuple[str, ...]:
    """How a flag is written: one that is on by itself is offered to be turned off."""
    return (option.off,) if option.off else option.names


def used(verbs: Iterable[VerbWords], names: Names) -> dict[str, tuple[str, ...]]:
    """The names that some verb takes, once each; those of a count and a chip are the chips."""
    kinds = {kind(verb, option) for verb in verbs for option in verb.options}
    return {name: values for name, values in names.items() if name in kinds}


def taken(verb: VerbWords, option: Option) -> str:
    """What follows, as the scripts name it: a kind, `file:ENDING`, `=a b c` for a few fixed words, `-` for a text."""
    found = kind(verb, option)
    return f"={' '.join(option.choices)}" if found == ":" else found or "-"


def groups(verbs: Iterable[VerbWords]) -> dict[str, list[VerbWords]]:
    """The verbs of verbs, and their own."""
    found: dict[str, list[VerbWords]] = {}
    for verb in verbs:
        if len(verb.path) == 2:
            found.setdefault(verb.path[0], []).append(verb)
    return found


# ---------------------------------------------------------------- bash and zsh

LOOK = r"""
_tonnage_look() {
  # words so far -> verb, what the word at hand is (kind) and whether it is a flag's value (of)
  local -a given=("$@")
  local word flag="" one
  verb="" kind="" place=0
  for word in "${given[@]}"; do
    if [[ -n $flag ]]; then flag=""; continue; fi
    if [[ $word == --*=* ]]; then continue; fi
    if [[ $word == -* ]]; then
      if [[ -n $verb ]]; then _tonnage_takes "$verb" "$word"; [[ -n $kind ]] && flag=$word; kind=""; fi
      continue
    fi
    if [[ -z $verb ]]; then verb=$word; continue; fi
    case " $_tonnage_groups " in *" $verb "*) verb="$verb $word"; continue;; esac
    place=$((place + 1))
  done
  if [[ -n $flag ]]; then _tonnage_takes "$verb" "$flag"; return; fi
  if [[ -n $verb ]]; then _tonnage_place "$verb" "$place"; fi
}
"""
"""The same in bash and zsh: which verb, and what is expected next."""


def _cases(verbs: Iterable[VerbWords], names: Names) -> str:
    """Functions that say what each flag, and each place of a verb, takes; and which flags a verb has."""
    every = tuple(verbs)
    takes, places, flags = [], [], []
    for verb in every:
        path = " ".join(verb.path)
        flags.append(f"    {quoted(path)}) flags=({' '.join(n for o in verb.flags for n in spelled(o))} --help);;")
        for option in verb.flags:
            if option.takes:
                pattern = "|".join(quoted(f"{path} {name}") for name in option.names)
                takes.append(f"    {pattern}) kind={quoted(taken(verb, option))};;")
        for place, option in enumerate(verb.words):
            pattern = quoted(f"{path} ") + ("*" if option.many else str(place))
            places.append(f"    {pattern}) kind={quoted(taken(verb, option))};;")
    return "\n".join((
        _function("takes", '"$1 $2"', takes), _function("place", '"$1 $2"', places), _function("flags", '"$1"', flags)
    ))  # fmt: skip


def _function(name: str, on: str, lines: Iterable[str]) -> str:
    first = "flags=(--help)" if name == "flags" else 'kind=""'
    return "\n".join((f"_tonnage_{name}() {{", f"  {first}", f"  case {on} in", *lines, "  esac", "}"))


def _arrays(verbs: tuple[VerbWords, ...], names: Names) -> str:
    lists = {variable(name): values for name, values in used(verbs, names).items()}
    made = [f"{name}=({' '.join(map(quoted, values))})" for name, values in lists.items()]
    tops = dict.fromkeys(verb.path[0] for verb in verbs)
    made.append(f"_tonnage_verbs=({' '.join(tops)} --help --version)")
    made.append(f"_tonnage_counts=({' '.join(COUNTS)})")
    made.append(f"_tonnage_groups={quoted(' '.join(groups(verbs)))}")
    return "\n".join(made)


BASH = r"""
_tonnage() {
  COMPREPLY=()
  local cur=${COMP_WORDS[COMP_CWORD]} verb kind place
  local -a before=() flags=() names=()
  local i=1 word
  # the shell cuts words at "=": `--on=8xh` comes as three
  while ((i < COMP_CWORD)); do
    word=${COMP_WORDS[i]}
    if [[ $word != "=" ]]; then before+=("$word"); fi
    i=$((i + 1))
  done
  [[ $cur == "=" ]] && cur=""
  _tonnage_look "${before[@]}"
  if [[ -z $verb ]]; then _tonnage_offer "${_tonnage_verbs[@]}"; return; fi
  case " $_tonnage_groups " in
    *" $verb "*) _tonnage_subverbs "$verb"; _tonnage_offer "${names[@]}" --help; return;;
  esac
  if [[ $cur == -* ]]; then _tonnage_flags "$verb"; _tonnage_offer "${flags[@]}"; return; fi
  case $kind in
    ""|-) ;;
    "="*) _tonnage_offer ${kind#"="};;
    file:/) _tonnage_files -d;;
    file:\*) _tonnage_files -f;;
    file:*) _tonnage_files -d -f -X "!*.${kind#file:}";;
    fleet) _tonnage_chips;;
    model) _tonnage_named model; ((${#COMPREPLY[@]})) || _tonnage_files -f;;
    *) _tonnage_named "$kind";;
  esac
}

_tonnage_offer() {
  local one
  for one in "$@"; do [[ $one == "$cur"* ]] && COMPREPLY+=("$one"); done
}

_tonnage_named() {
  local -a all
  eval "all=(\"\${_tonnage_$1[@]}\")" # the name of a list above, from this script itself
  _tonnage_offer "${all[@]}"
}

_tonnage_files() {
  local one
  compopt -o filenames 2>/dev/null
  while IFS= read -r one; do COMPREPLY+=("$one"); done < <(compgen "$@" -- "$cur")
}

_tonnage_chips() {
  local one
  if [[ $cur =~ ^[0-9]+x ]]; then
    for one in "${_tonnage_fleet[@]}"; do
      [[ ${BASH_REMATCH[0]}$one == "$cur"* ]] && COMPREPLY+=("${BASH_REMATCH[0]}$one")
    done
  else
    compopt -o nospace 2>/dev/null
    if [[ $cur =~ ^[0-9]+$ ]]; then COMPREPLY=("${cur}x"); else _tonnage_offer "${_tonnage_counts[@]}"; fi
  fi
}

complete -F _tonnage tonnage
"""


def bash(verbs: tuple[VerbWords, ...], names: Names) -> str:
    """For bash 3.2 and newer."""
    head = "# completion of tonnage for bash:  source <(tonnage completion bash)"
    return "\n".join((head, _arrays(verbs, names), _cases(verbs, names), _subverbs(verbs), LOOK, BASH))


def _subverbs(verbs: Iterable[VerbWords]) -> str:
    lines = [f"    {quoted(g)}) names=({' '.join(v.path[1] for v in own)});;" for g, own in groups(verbs).items()]
    return "\n".join(("_tonnage_subverbs() {", "  names=()", '  case "$1" in', *lines, "  esac", "}"))


ZSH = r"""
_tonnage() {
  emulate -L zsh -o extended_glob
  local cur=${words[CURRENT]} verb kind place
  local -a before flags names
  before=("${(@)words[2,CURRENT-1]}")
  _tonnage_look "${before[@]}"
  if [[ $cur == --*=* && -n $verb ]]; then
    _tonnage_takes "$verb" "${cur%%=*}"
    compset -P '*='
    cur=${cur#*=}
  elif [[ -z $verb ]]; then
    _tonnage_describe verb "${_tonnage_verbs_said[@]}"; return
  elif [[ " $_tonnage_groups " == *" $verb "* ]]; then
    _tonnage_subverbs "$verb"; compadd -a names; return
  elif [[ $cur == -* ]]; then
    _tonnage_said "$verb"; _tonnage_describe option "${flags[@]}"; return
  fi
  case $kind in
    ""|-) _message value;;
    "="*) names=(${=kind#"="}); compadd -a names;;
    file:/) _files -/;;
    file:\*) _files;;
    file:*) _files -g "*.${kind#file:}(-.)";;
    fleet) _tonnage_chips;;
    model) compadd -a _tonnage_model || _files;;
    *) compadd -a "_tonnage_$kind";;
  esac
}

_tonnage_describe() {
  local -a lines=("${@:2}")
  _describe $1 lines
}

_tonnage_chips() {
  if [[ $cur =~ ^[0-9]+x ]]; then
    compset -P '[0-9]##x'
    compadd -a _tonnage_fleet
  else
    compadd -S '' -a _tonnage_counts
  fi
}

if [[ $funcstack[1] == _tonnage ]]; then _tonnage "$@"; else compdef _tonnage tonnage; fi
"""


def zsh(verbs: tuple[VerbWords, ...], names: Names) -> str:
    """For zsh 5, sourced or as a file of `fpath`."""
    head = "#compdef tonnage\n# completion of tonnage for zsh:  source <(tonnage completion zsh)"
    tops = {verb.path[0]: "Carry a plan out." if len(verb.path) == 2 else verb.summary for verb in verbs}
    said = " ".join(quoted(f"{top}:{brief(text)}") for top, text in tops.items())
    return "\n".join((
        head, _arrays(verbs, names), f"_tonnage_verbs_said=({said})", _cases(verbs, names), _said(verbs),
        _subverbs(verbs), LOOK, ZSH,
    ))  # fmt: skip


def _said(verbs: Iterable[VerbWords]) -> str:
    """The flags of a verb, each with what it is about."""
    lines = []
    for verb in verbs:
        own = (f"{name}:{brief(option.help)}" for option in verb.flags for name in spelled(option))
        lines.append(f"    {quoted(' '.join(verb.path))}) flags=({' '.join(map(quoted, own))});;")
    return _function("said", '"$1"', lines)


# ---------------------------------------------------------------- fish

FISH = r"""
function __tonnage_at --description 'whether the verb is this one'
    set -l words (commandline -opc)
    set -l own
    for word in $words[2..-1]
        string match -q -- '-*' $word; and continue
        set -a own $word
        test (count $own) -ge (count $argv); and break
    end
    test "$own" = "$argv"
end

function __tonnage_no_verb
    set -l words (commandline -opc)
    not string match -qv -- '-*' $words[2..-1]
end

function __tonnage_place --description 'how many words without a flag stand after the verb: VERBS TAKING...'
    set -l words (commandline -opc)
    set -l skip $argv[1]
    set -l found 0
    set -l flag 0
    for word in $words[2..-1]
        if test $flag = 1
            set flag 0
        else if string match -q -- '-*' $word
            contains -- $word $argv[2..-1]; and set flag 1
        else
            set found (math $found + 1)
        end
    end
    math $found - $skip
end

function __tonnage_fleet
    set -l count (string match -r -- '^(?:--?[a-z-]+=)?([0-9]+x)' (commandline -ct))[2]
    if test -n "$count"
        printf '%s\n' $count$_tonnage_fleet
    else
        printf '%s\n' $_tonnage_counts
    end
end

function __tonnage_files
    __fish_complete_suffix .$argv[1]
end
"""


def fish(verbs: tuple[VerbWords, ...], names: Names) -> str:
    """For fish 3."""
    lines = ["# completion of tonnage for fish:  tonnage completion fish | source"]
    lines += [f"set -g {variable(n)} {' '.join(map(quoted, values))}" for n, values in used(verbs, names).items()]
    lines += [f"set -g _tonnage_counts {' '.join(COUNTS)}", FISH, "complete -c tonnage -f"]
    tops = {verb.path[0]: "Carry a plan out." if len(verb.path) == 2 else verb.summary for verb in verbs}
    for top, summary in tops.items():
        lines.append(f"complete -c tonnage -n __tonnage_no_verb -a {top} -d {quoted(brief(summary))}")
    lines.append("complete -c tonnage -n __tonnage_no_verb -l version -d 'which release'")
    for group, own in groups(verbs).items():
        for verb in own:
            said = quoted(brief(verb.summary))
            once = f"'__tonnage_at {group}; and test (__tonnage_place 1) -eq 0'"
            lines.append(f"complete -c tonnage -n {once} -a {verb.path[1]} -d {said}")
    for verb in verbs:
        lines += _fish_verb(verb)
    return "\n".join(lines) + "\n"


def _fish_verb(verb: VerbWords) -> list[str]:
    path = " ".join(verb.path)
    lines = []
    for option in verb.flags:
        named = " ".join(f"-s {n[1:]}" if n[1] != "-" else f"-l {n[2:]}" for n in spelled(option))
        value = " -r" + _fish_values(taken(verb, option)) if option.takes else ""
        lines.append(f"complete -c tonnage -n '__tonnage_at {path}' {named}{value} -d {quoted(brief(option.help))}")
    taking = " ".join(name for option in verb.flags if option.takes for name in option.names)
    for place, option in enumerate(verb.words):
        holds = "ge" if option.many else "eq"
        at = f"__tonnage_at {path}; and test (__tonnage_place {len(verb.path)} {taking}) -{holds}"
        value = _fish_values(taken(verb, option))
        if value:
            lines.append(f"complete -c tonnage -n '{at} {place}'{value}")
    return lines


def _fish_values(what: str) -> str:
    """The end of a `complete` line: what is offered."""
    if what == "-":
        return ""
    if what.startswith("="):
        return f" -f -a {quoted(what[1:])}"
    if what == "fleet":
        return " -f -a '(__tonnage_fleet)'"
    if what == "file:/":
        return " -f -a '(__fish_complete_directories)'"
    if what == "file:*":
        return " -F"
    if what.startswith("file:"):
        return f" -f -a '(__tonnage_files {what[5:]})'"
    return f" -{'F' if what == 'model' else 'f'} -a '${variable(what)}'"


SHELLS: Mapping[str, Callable[[tuple[VerbWords, ...], Names], str]] = {"bash": bash, "zsh": zsh, "fish": fish}
