"""Programs found in replies, and the benchmarks whose answer is a program."""

import asyncio
import json
from textwrap import indent

import pytest

from actors.sandbox.backends import command
from actors.sandbox.config import SandboxConfig
from actors.sandbox.host import choose
from actors.sandbox.runs import run
from actors.sandbox.types import Program, Verdict
from actors.types import ConfigError, ItemError
from pipelines import tested
from pipelines.tasks import load_task
from pipelines.tasks.code import find_code

PROMPT = 'import math\n\n\ndef f(x):\n    """Add one."""\n'
WHOLE = "def f(x):\n    return x + 1\n"
BEFORE = "import math\n\n\n"
BODY = "    return x + 1\n"


@pytest.mark.parametrize(
    ("text", "code", "open_end"),
    [
        (f"Sure!\n```python\n{WHOLE}```\nDone.", BEFORE + WHOLE, False),
        (f"```\n{WHOLE}```", BEFORE + WHOLE, False),
        (f"```\nfrom __future__ import annotations\n{WHOLE}```",
         f"from __future__ import annotations\n{WHOLE}", False),
        # The last block that defines it counts, not the last block.
        (f"```\ndef f(x):\n    0\n```\nBetter:\n```py\n{WHOLE}```\n```\nf(1)\n```",
         BEFORE + WHOLE, False),
        (f"<think>```python\ndef f(x): 0\n```</think>```python\n{WHOLE}```", BEFORE + WHOLE, False),
        # A fence that never closes was cut, or its reply ended with it.
        (f"```python\n{WHOLE}", BEFORE + WHOLE, True),
        (f"  ```python\n{WHOLE}  ```", BEFORE + WHOLE, False),
        # In a list: lines lose the fence's indentation, those that have less lose what they have.
        (f"1. So:\n\n   ```python\n{indent(WHOLE, '   ')}\n   ```\n2. Done.",
         f"{BEFORE}{WHOLE}\n", False),
        ("\t```\n\tdef f(x):\n\t    \"\"\"One\n more\"\"\"\n\t    return 1\n\t```",
         f'{BEFORE}def f(x):\n    """One\nmore"""\n    return 1\n', False),
        (f"   ```\n{indent(BODY, '   ')}   ```", PROMPT + BODY, False),
        (f"    ```\n{BODY}    ```", PROMPT + BODY, False),
        # Only a body in the fence.
        (f"```python\n{BODY}```", PROMPT + BODY, False),
        # No fence: from the first line of code to the first line of prose.
        (f"Here it is:\n\n{WHOLE}\nThis adds one.", f"{BEFORE}{WHOLE}\n", False),
        (f"import re\n{WHOLE}\nprint(f(1))\n", f"{BEFORE}import re\n{WHOLE}\nprint(f(1))\n", True),
        # A continuation of the prompt, indentation as it is, up to the next piece of code.
        (BODY, PROMPT + BODY, True),
        (f"{BODY}\ndef g():\n    pass\n", f"{PROMPT}{BODY}", False),
        (f"{BODY}\n# Test\nf(1)", f"{PROMPT}{BODY}", False),
        (f"{BODY}\nprint(f(1))", f"{PROMPT}{BODY}", False),
        ("    if x:\n        0\n    return x", f"{PROMPT}    if x:\n        0\n    return x", True),
        (f"{BODY}<|endoftext|>def f(x): 0", PROMPT + BODY, True),
        ("I can't.", f"{PROMPT}I can't.", True),
    ],
)  # fmt: skip
def test_the_program_in_a_reply_is_found(text: str, code: str, open_end: bool) -> None:
    assert find_code(text, ["f"], PROMPT) == (code, open_end)


@pytest.mark.parametrize("text", ["", " \n", "<think>never ends ```python\ndef f(): 0\n```"])
def test_a_reply_without_anything_holds_no_program(text: str) -> None:
    assert find_code(text, ["f"], PROMPT) is None


def test_finding_takes_linear_time() -> None:
    for text in ("```\n" * 50_000, "def f(" * 100_000, " " * 500_000 + "x", "[f, 'a'" * 50_000):
        find_code(text, ["f"], PROMPT)


@pytest.fixture(scope="module")
def started() -> list[str]:
    try:
        backend, _ = asyncio.run(choose(SandboxConfig()))
    except ConfigError as error:
        pytest.skip(str(error))
    found = command(backend, SandboxConfig())
    assert found is not None
    return found


class Local:
    """A sandbox in this process."""

    def __init__(self, started: list[str]) -> None:
        self.started = started
        self.programs: list[Program] = []
        self.gate = asyncio.Semaphore(2)

    async def run(self, program: Program) -> Verdict:
        async with self.gate:
            self.programs.append(program)
            return await run(program, self.started, 60.0)


def graded(task, item, texts, sandbox):
    """Outcome and credit of each text."""
    known = asyncio.run(tested.verdicts(task, item, texts, sandbox))
    grades = [tested.grade(task, item, text, reason, known) for text, reason in texts]
    return [(grade.outcome, dict(grade.metrics)["accuracy"]) for grade in grades]


def test_reference_programs_of_humaneval_pass_and_stubs_fail(started) -> None:
    """Every 14th of the 164; `lilliput check-sandbox --task humaneval` tries all."""
    task = load_task({"name": "humaneval"})
    assert task.num_items == 164
    picked = list(task.solutions())[::14]
    # Tests of these call what their prompt defines beside the function, and the function itself.
    picked += [pair for pair in task.solutions() if pair[0].id in ("HumanEval/32", "HumanEval/38")]
    for item, right in picked:
        prompt = json.loads(item.reference)["prompt"]
        completion = right.removeprefix(prompt)
        texts = [(f"```python\n{right}```", "stop"), (completion, "stop"), ("    pass", "stop")]
        outcomes = graded(task, item, texts, Local(started))
        assert outcomes == [("correct", 1.0), ("correct", 1.0), ("wrong", 0.0)], item.id


def test_every_text_has_one_outcome_and_only_a_passed_program_has_credit(started) -> None:
    task = load_task({"name": "humaneval"})
    item = next(item for item in task.items() if item.id == "HumanEval/53")
    endless = "    while True:\n        pass\n"
    fast = SandboxConfig(cpu_seconds=1)
    backend, _ = asyncio.run(choose(fast))
    sandbox = Local(command(backend, fast))
    texts = [
        ("    return x + y\n", "stop"),
        ("    return x - y\n", "stop"),
        (endless, "stop"),
        ("", "stop"),
        ("", "length"),
        ("    return x -", "length"),
        ("```\ndef add(x, y): return x - y\n```\nThis adds", "length"),
        ("    return x + y", "length"),
        ("    import sys\n    sys.exit(0)\n", "stop"),
    ]
    assert graded(task, item, texts, sandbox) == [
        ("correct", 1.0),
        ("wrong", 0.0),
        ("timed_out", 0.0),
        ("no_answer", 0.0),
        ("truncated", 0.0),
        ("truncated", 0.0),
        ("wrong", 0.0),
        ("correct", 1.0),
        ("wrong", 0.0),
    ]


def test_a_reply_need_not_repeat_the_imports_of_its_prompt(started) -> None:
    task = load_task({"name": "humaneval"})
    item = next(item for item in task.items() if item.id == "HumanEval/7")
    reply = (
        "```python\ndef filter_by_substring(strings: List[str], substring: str) -> List[str]:\n"
        "    return [s for s in strings if substring in s]\n```"
    )
    assert graded(task, item, [(reply, "stop")], Local(started)) == [("correct", 1.0)]


def test_a_program_that_several_draws_wrote_runs_once(started) -> None:
    task = load_task({"name": "humaneval"})
    item = next(item for item in task.items() if item.id == "HumanEval/53")
    sandbox = Local(started)
    texts = [("    return x + y\n", "stop")] * 5
    assert graded(task, item, texts, sandbox) == [("correct", 1.0)] * 5
    assert len(sandbox.programs) == 1


def test_base_models_get_the_bare_prompt_and_stops(started) -> None:
    chat = next(load_task({"name": "humaneval"}).items())
    base = next(load_task({"name": "humaneval", "ask": "completion"}).items())
    prompt = json.loads(base.reference)["prompt"]
    assert base.messages[-1].content == prompt
    assert "\ndef " in base.stop
    assert chat.stop == ()
    assert "one ```python block" in chat.messages[-1].content
    assert prompt.rstrip() in chat.messages[-1].content


ROWS = [
    {
        "task_id": number,
        "text": f"Write a function to add {number}.",
        "code": f"import math\r\ndef add{number}(x):\r\n  return x + {number}",
        "test_setup_code": "",
        "test_list": [f"assert add{number}({i}) == {i + number}" for i in range(3)],
    }
    for number in (2, 3, 4, 11, 12, 600)
]
"""In the form of MBPP's rows; made up."""
NODES = {
    "task_id": 13,
    "text": "Write a function to add up a tree.",
    "code": "class Node:\n  def __init__(self, v):\n    self.v = v\n    self.left = None\n"
    "def total(n):\n  return n.v + (total(n.left) if n.left else 0)",
    "test_setup_code": "root = Node(1)\nroot.left = Node(2)",
    "test_list": ["assert total(root) == 3", "assert math.floor(total(root)) == 3"][:1],
}


def mbpp(write_jsonl, *, rows=None, **config):
    return load_task(
        {"name": "mbpp", "source": write_jsonl("mbpp.jsonl", rows or [*ROWS, NODES]), **config}
    )


def test_mbpp_shows_tests_and_three_worked_examples(write_jsonl) -> None:
    task = mbpp(write_jsonl)
    assert [item.id for item in task.items()] == ["mbpp-11", "mbpp-12", "mbpp-13"]
    item = next(task.items())
    assert [m.role for m in item.messages] == ["user", "assistant"] * 3 + ["user"]
    assert item.messages[1].content == "[BEGIN]\nimport math\ndef add2(x):\n  return x + 2\n[DONE]"
    assert item.messages[-1].content == (
        "You are an expert Python programmer, and here is your task: Write a function to add 11. "
        "Your code should pass these tests:\n\nassert add11(0) == 11\nassert add11(1) == 12\n"
        "assert add11(2) == 13"
    )
    base = next(mbpp(write_jsonl, ask="completion").items())
    (message,) = base.messages
    assert message.content.count("[BEGIN]\n") == 4
    assert message.content.endswith("assert add11(2) == 13\n[BEGIN]\n")
    assert base.stop == ("\n[DONE]",)


def test_mbpp_replies_are_read_between_their_marks_and_in_fences(write_jsonl, started) -> None:
    task = mbpp(write_jsonl)
    items = {item.id: item for item in task.items()}
    right = "def add11(x):\n    return x + 11"
    texts = [
        (f"[BEGIN]\n{right}\n[DONE]\nYou are an expert: [BEGIN]\ndef add11(x): 0\n[DONE]", "stop"),
        (f"{right}\n[DONE]", "stop"),
        (f"```python\n{right}\n```", "stop"),
        ("[BEGIN]\ndef add11(x):\n    return x\n[DONE]", "stop"),
        ("def other(x): return x", "stop"),
    ]
    outcomes = [outcome for outcome, _ in graded(task, items["mbpp-11"], texts, Local(started))]
    assert outcomes == ["correct", "correct", "correct", "wrong", "wrong"]
    nodes = [(f"```\n{NODES['code']}\n```", "stop"), ("```\ndef total(n): return 3\n```", "stop")]
    outcomes = [outcome for outcome, _ in graded(task, items["mbpp-13"], nodes, Local(started))]
    assert outcomes == ["correct", "wrong"]


def test_mbpp_refuses_rows_that_it_can_not_show_or_test(write_jsonl) -> None:
    with pytest.raises(ConfigError, match=r"no rows 2, 3, 4.*set task\.shots to 0"):
        mbpp(write_jsonl, rows=ROWS[3:])
    assert mbpp(write_jsonl, rows=ROWS[3:], shots=0).num_items == 2
    useless = {**ROWS[3], "test_list": ["assert other(1)"]}
    with pytest.raises(ConfigError, match="use nothing that its code defines"):
        mbpp(write_jsonl, rows=[*ROWS[:3], useless])
    broken = {**ROWS[3], "code": "def f(:"}
    with pytest.raises(ConfigError, match="code that is no Python"):
        mbpp(write_jsonl, rows=[*ROWS[:3], broken])
    with pytest.raises(ConfigError, match="no list of texts in field 'test_list'"):
        mbpp(write_jsonl, rows=[*ROWS[:3], {**ROWS[3], "test_list": "assert 1"}])


def test_programs_of_ones_own_have_tests_in_a_file(write_jsonl, started) -> None:
    row = {
        "id": "stack",
        "prompt": "Write a class Stack with push and pop, and a function swap(pair).",
        "entry_point": ["Stack", "swap"],
        "context": "PAIR = (1, 2)",
        "tests": ["s = Stack()", "s.push(5)", "assert s.pop() == 5", "assert swap(PAIR) == (2, 1)"],
        "solution": "class Stack(list):\n    push = list.append\ndef swap(p): return p[::-1]",
    }
    class_form = "class Stack:\n    def __init__(self): self.held = []\n" \
        "    def push(self, x): self.held.append(x)\n    def pop(self): return self.held.pop()\n" \
        "def swap(p): return p[1], p[0]"  # fmt: skip
    task = load_task({"name": "programs", "source": write_jsonl("own.jsonl", [row])})
    (item,) = task.items()
    assert item.id == "stack"
    texts = [(f"```python\n{class_form}\n```", "stop"), ("```\ndef swap(p): return p\n```", "stop")]
    assert graded(task, item, texts, Local(started)) == [("correct", 1.0), ("wrong", 0.0)]
    bad = write_jsonl("bad.jsonl", [{**row, "tests": 5}])
    with pytest.raises(ConfigError, match="neither a text nor a list of texts in field 'tests'"):
        load_task({"name": "programs", "source": bad})


def test_a_failure_of_the_sandbox_is_no_verdict() -> None:
    class Broken:
        async def run(self, program):
            raise ItemError("error", "2 replicas died of this item")

    task = load_task({"name": "humaneval"})
    with pytest.raises(ItemError, match="2 replicas died"):
        graded(task, next(task.items()), [("    pass", "stop")], Broken())
