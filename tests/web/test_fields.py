"""What may be asked: a list of fields; no flag, no file, nothing that a field does not look like."""

import datetime
import json
import re
from importlib import resources
from pathlib import Path

import pytest

from tonnage.cli import VERBS
from tonnage.errors import InputError
from tonnage.web.fields import FIT, RUNS, SERVE, VIEWS, checked, usual, words
from tonnage.web.labels import chosen, labels, languages, word
from tonnage.web.programmes import LIMIT, bundled, without
from tonnage.web.programmes import checked as programme_checked
from tonnage.web.questions import Asker


@pytest.fixture
def asker(tmp_path):
    return Asker(tmp_path, "code", None, None, lambda: datetime.date(2026, 1, 1))


def wrong(call):
    with pytest.raises(InputError) as error:
        call()
    return [problem.where for problem in error.value.problems]


def test_each_view_asks_a_verb_that_there_is(asker):
    for view in VIEWS.keys() - {"qualify", "runs"}:
        for stage in asker.asked(view, {}).stages:
            assert stage.argv[0] in VERBS


def test_flags_are_written_with_their_values_and_only_where_not_usual():
    values = checked("serve", {"model": "deepseek-r1", "on": "8xh20, 8xh800", "isl": "4k", "tpot": "20ms"})
    assert words(SERVE, values) == ["--on=8xh20", "--on=8xh800", "--tpot=20ms"]
    assert words(FIT, checked("fit", {"eager": "1", "kv": "fp8"})) == ["--on=8xh200", "--kv=fp8", "--eager"]
    assert words(RUNS, {"by": "chip"}) == ["--by=chip"]


def test_a_field_that_is_left_empty_is_not_asked(asker):
    assert "--in=CN" in asker.asked("catalogue", {}).stages[0].argv
    assert asker.asked("catalogue", {"place": ""}).stages[0].argv == ("show", "chips")
    today = f"--as-of={asker.today()}"
    for what in ("prices", "h20"):
        assert asker.asked("catalogue", {"place": "", "what": what}).stages[0].argv == ("show", what, today)
    dated = {"place": "", "what": "prices", "as_of": "2025-03"}
    assert asker.asked("catalogue", dated).stages[0].argv == ("show", "prices", "--as-of=2025-03")


FLAGS = ("--catalog=/etc", "-o", "--output=x", "--ledger=x", "--from=/etc/passwd", "--calibration=x", "--picture=x")


@pytest.mark.parametrize(
    "name", ["catalog", "output", "o", "ledger", "from", "calibration", "--set", "picture", "work"]
)
def test_a_field_that_a_view_does_not_have_is_refused(name):
    for view in VIEWS:
        assert wrong(lambda view=view: checked(view, {name: "x"})) == [name]


PATHS = (
    "/etc/passwd", "../x", "a/../../b", "./config.json", "config.json", "x.yaml", "model.gguf", "~/x", "a/b/c", "..",
    "C:\\x", "file:///etc/passwd", "x\x00y", "/proc/self/environ",
)  # fmt: skip


@pytest.mark.parametrize("text", [*PATHS, *FLAGS, "<script>alert(1)</script>", "a\x1b[31m", "a\nb", "a" * 300])
def test_a_model_that_is_a_path_a_flag_or_markup_is_refused(text):
    assert wrong(lambda: checked("fit", {"model": text})) == ["model"]


@pytest.mark.parametrize("view", VIEWS)
def test_no_field_takes_a_path(view):
    for field in VIEWS[view]:
        for text in (*PATHS, "$(id)", "a;b", "a`b`", "x\r\ny"):
            assert wrong(lambda field=field, text=text: checked(view, {field.name: text})) == [field.name], (
                field,
                text,
            )


def test_published_names_and_quantities_are_taken():
    taken = {
        "model": "deepseek-ai/DeepSeek-R1",
        "on": "16 x h20",
        "rate": "20/s",
        "price": "$2.10/h",
        "engine": "vllm@0.11",
    }
    assert {name: checked("serve", taken)[name] for name in taken} == taken


def test_what_is_not_text_is_refused():
    for value in (1, None, ["x"], {"a": 1}, True):
        assert wrong(lambda value=value: checked("fit", {"on": value})) == ["on"]


def test_all_problems_are_told_at_once():
    assert wrong(lambda: checked("fit", {"modle": "x", "kv": "fp9", "model": "/x"})) == ["modle", "model", "kv"]


def test_a_choice_names_the_nearest():
    with pytest.raises(InputError, match='did you mean "fp8"'):
        checked("fit", {"kv": "fp88"})


# ---------------------------------------------------------------- launches


def test_a_launch_is_asked_with_few_draws_first_then_all(asker):
    asked = asker.asked("launch", {})
    assert [stage.argv[2] for stage in asked.stages] == ["--draws=25", "--draws=500"]
    assert ["--no-what-ifs" in stage.argv for stage in asked.stages] == [True, False]
    assert asked.command == "tonnage launch r2.yaml" and asked.base is None and asked.first_base is None
    assert [stage.argv[2] for stage in asker.asked("launch", {"draws": "40"}).stages] == ["--draws=40"]


def test_a_board_is_shown_as_last_predicted_unless_it_is_asked_for_anew(asker):
    (shown,), (anew,) = (asker.asked("accuracy", given).stages for given in ({}, {"anew": "1"}))
    assert (shown.argv, shown.lane) == (("accuracy", "serve", "--kept"), "quick")
    assert (anew.argv, anew.lane) == (("accuracy", "serve"), "heavy")
    assert asker.asked("accuracy", {"what": "capacity"}).command == "tonnage accuracy capacity"


@pytest.mark.parametrize("draws", ["19", "5001", "1k0", "900k"])
def test_draws_are_bounded(asker, draws):
    with pytest.raises(InputError):
        asker.asked("launch", {"draws": draws})


def test_a_rule_that_is_switched_off_is_left_out_beside_what_the_programme_says(asker):
    asked = asker.asked("launch", {"off": "us_2025_04_09_h20_letter"})
    assert asked.stages[-1].argv[-1] == '--set=rules=["without us_2025_04_09_h20_letter"]'
    assert asked.base.argv == asked.stages[-1].argv[:-1]
    assert asked.first_base == asker.asked("launch", {}).stages[0]
    said = programme_checked("rules: [known-at 2025-02-28, without h20]\n")
    assert without(said, ["a"]) == 'rules=["known-at 2025-02-28", "without h20", "without a"]'
    assert without(programme_checked("rules: as-of\n"), ["a"]) == 'rules=["without a"]'


@pytest.mark.parametrize("rules", ["x y", "a;b", "without a", '"]', "a,,b", "../x", "A"])
def test_rules_are_ids(rules):
    assert wrong(lambda: checked("launch", {"off": rules})) == ["off"]


def test_an_edited_programme_is_written_in_the_folder_of_the_page_under_its_name(asker):
    asked = asker.asked("launch", {}, bundled("mini"))
    path = asked.stages[0].argv[1]
    assert path.startswith(str(asker.folder)) and asked.names == {path: "r2.yaml"}
    assert asker.asked("launch", {}, bundled("mini")).stages == asked.stages
    assert asker.asked("launch", {}, bundled("cloud")).stages != asked.stages


NAMES_FILES = ("/etc/passwd", "../../x/config.json", "~/model", "~root/x", "a/../../b", "C:\\x", "\\\\host\\x")


@pytest.mark.parametrize("path", NAMES_FILES)
def test_a_programme_that_names_a_file_elsewhere_is_refused_in_place(asker, path):
    text = f"name: x\nmodels:\n  a:\n    model: {json.dumps(path)}\n"
    with pytest.raises(InputError) as error:
        asker.asked("launch", {}, text)
    (problem,) = error.value.problems
    assert (problem.where, problem.path) == ("programme.yaml:4:12", "models.a.model")


def test_a_programme_is_bounded_and_text(asker):
    assert wrong(lambda: asker.asked("launch", {}, "x: " + "a" * LIMIT)) == ["programme.yaml"]
    assert wrong(lambda: asker.asked("launch", {}, ["x"])) == ["programme"]
    assert wrong(lambda: asker.asked("fit", {}, "x: 1")) == ["programme"]
    with pytest.raises(InputError, match="tags"):
        asker.asked("launch", {}, "x: !!python/object/apply:os.system [id]\n")


def test_a_simulation_is_a_file_of_a_service_and_flags(asker):
    asked = asker.asked("simulate", {})
    question = asked.stages[0]
    assert json.loads(Path(question.argv[1]).read_text())["model"] == "llama-3.3-70b"
    assert not [each for each in question.argv if each.startswith("--on")]
    assert wrong(lambda: asker.asked("simulate", {"requests": "1M"})) == ["requests"]


def test_runs_need_the_ledger_that_the_page_was_started_with(asker, tmp_path):
    assert wrong(lambda: asker.asked("runs", {})) == ["ledger"]
    other = Asker(tmp_path, "code", None, tmp_path / "l.sqlite")
    assert other.asked("runs", {}).stages[0].argv == ("ledger", "list", f"--ledger={tmp_path / 'l.sqlite'}")


def test_the_same_question_on_another_day_or_of_another_program_is_another(asker, tmp_path):
    key = asker.asked("fit", {}).stages[0].key
    assert key == asker.asked("fit", {}).stages[0].key
    assert key != Asker(tmp_path, "other", None, None, asker.today).asked("fit", {}).stages[0].key
    tomorrow = Asker(tmp_path, "code", None, None, lambda: datetime.date(2026, 1, 2))
    assert key != tomorrow.asked("fit", {}).stages[0].key


# ---------------------------------------------------------------- words


def test_every_field_and_view_has_its_words():
    held = labels("en")
    for view, fields in VIEWS.items():
        for part in ("name", "title", "lead"):
            assert word(held, f"views.{view}.{part}") != f"views.{view}.{part}"
        for field in fields:
            keys = (f"fields.{view}.{field.name}.label", f"fields.every.{field.name}.label")
            assert field.name == "off" or any(word(held, key) != key for key in keys), keys
            assert usual(view, field) in ("", *field.choices) or not field.choices


def test_every_word_that_the_scripts_say_is_there_and_said():
    folder = resources.files("tonnage.web") / "static"
    scripts = "\n".join(each.read_text("utf-8") for each in folder.iterdir() if each.name.endswith(".js"))
    said = set(re.findall(r'\bsay\("(\w+)"', scripts))
    held = set(labels("en")["browser"])
    assert said <= held
    assert {key for key in held if f'"{key}"' not in scripts} == {"busy", "slow", "ended", "stopped"}


def test_a_language_without_a_file_is_english():
    assert languages() == ("en",)
    assert chosen("de-CH,de;q=0.9,en;q=0.8") == "en" and chosen("") == "en"
