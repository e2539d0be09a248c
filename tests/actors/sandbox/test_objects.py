"""Objects of a program among its tests: what works, what isn't judged, what can't be faked."""

import pytest

from actors.sandbox.types import Verdict
from tests.actors.sandbox.test_sandbox import judged, needs_any

pytestmark = needs_any

VECTOR = """
from functools import total_ordering
@total_ordering
class V:
    def __init__(self, x, y): self.x, self.y = x, y
    def __add__(self, o): return V(self.x + o.x, self.y + o.y)
    def __mul__(self, k): return V(self.x * k, self.y * k)
    __rmul__ = __mul__
    def __neg__(self): return V(-self.x, -self.y)
    def __abs__(self): return (self.x ** 2 + self.y ** 2) ** 0.5
    def __eq__(self, o): return (self.x, self.y) == (o.x, o.y)
    def __lt__(self, o): return abs(self) < abs(o)
    def __hash__(self): return hash((self.x, self.y))
    def __len__(self): return 2
    def __getitem__(self, i): return (self.x, self.y)[i]
    def __bool__(self): return bool(self.x or self.y)
    def __repr__(self): return f'V({self.x}, {self.y})'
    def __format__(self, spec): return f'{self.x:{spec}};{self.y:{spec}}'
    def __iadd__(self, o): self.x += o.x; self.y += o.y; return self
    def __float__(self): return float(abs(self))
    def __index__(self): return self.x
    def __round__(self, n=0): return round(abs(self), n)
"""
OTHERS = """
from collections import namedtuple, Counter, defaultdict, deque, OrderedDict
from enum import Enum
class E(ValueError):
    def __init__(self, text, code=0):
        super().__init__(text, code)
        self.code = code
    def __str__(self): return 'E: ' + self.args[0]
class D:
    def me(self): return self
class C(D):
    def __init__(self): self.d, self.open = {}, None
    def __enter__(self): self.open = True; return self
    def __exit__(self, kind, error, trace): self.open = kind.__name__ if kind else False
    def __setitem__(self, k, v): self.d[k] = v
    def __getitem__(self, k): return self.d[k]
    def __delitem__(self, k): del self.d[k]
    def __contains__(self, k): return k in self.d
class Up:
    def __init__(self, n): self.n, self.i = n, 0
    def __iter__(self): return self
    def __next__(self):
        if self.i == self.n: raise StopIteration
        self.i += 1
        return self.i
class Color(Enum):
    RED = 1
P = namedtuple('P', 'x y')
known = {'a': 1}
def f(): raise E('no', 7)
def g(k): return known.setdefault(k, 0)
"""
NAMES = ("E", "D", "C", "Up", "Color", "P", "known", "f", "g", "Counter", "defaultdict", "deque")


def other(tests: str, more: str = "") -> Verdict:
    return judged(OTHERS + more, tests, *NAMES, *(("h",) if more else ()))


@pytest.mark.parametrize(
    "tests",
    [
        "assert V(1, 2) + V(3, 4) == V(4, 6)\nassert V(1, 2) != V(2, 1)",
        "assert V(1, 2) * 3 == 3 * V(1, 2) == V(3, 6)\nassert (V(1, 2) * 3).x == 3",
        "assert sum([V(1, 1), V(2, 2)], V(0, 0)) == V(3, 3)",
        "assert -V(1, 2) == V(-1, -2)\nassert abs(V(3, 4)) == 5\nassert not V(0, 0)",
        "assert V(1, 1) < V(2, 2)\nassert V(2, 2) >= V(1, 1)\nassert max(V(1, 1), V(3, 3)).x == 3",
        "assert {V(1, 2), V(1, 2)} == {V(1, 2)}\nassert {V(1, 2): 3}[V(1, 2)] == 3",
        "assert len(V(1, 2)) == 2\nassert list(V(1, 2)) == [1, 2]\nx, y = V(1, 2)\nassert y == 2",
        "assert str(V(1, 2)) == repr(V(1, 2)) == 'V(1, 2)'\nassert f'{V(1, 2):.1f}' == '1.0;2.0'",
        "v = w = V(1, 2)\nv += V(1, 1)\nassert v is w\nassert w == V(2, 3)",
        "assert float(V(3, 4)) == 5.0\nassert [5, 6][V(1, 0)] == 6",
        "assert round(V(1, 1), 2) == 1.41",
    ],
)
def test_operators_of_a_programs_class_work(tests: str) -> None:
    found = judged(VECTOR, tests, "V")
    assert found.outcome == "passed", found.why


@pytest.mark.parametrize(
    "tests",
    [
        "try: f()\nexcept E as e: assert (e.code, str(e), e.args) == (7, 'E: no', ('no', 7))\n"
        "else: assert False",
        "try: f()\nexcept ValueError: pass\nelse: assert False",
        "try: raise E('x')\nexcept E: pass\nassert issubclass(E, ValueError)",
        "try: C()['x']\nexcept KeyError as e: assert str(e) == \"'x'\"\nelse: assert False",
        "assert isinstance(C(), D)\nassert not isinstance(D(), C)\nassert not isinstance(3, D)",
        "assert issubclass(C, D)\nassert not issubclass(D, C)",
        "d = D()\nassert d.me() is d",
        "with C() as c:\n    assert c.open\nassert c.open is False",
        "try:\n    with C() as c: raise KeyError\nexcept KeyError: assert c.open == 'KeyError'",
        "c = C()\nc['a'] = 2\nassert c['a'] == 2\ndel c['a']\nassert c.d == {}",
        "u = Up(3)\nassert next(u) == 1\nassert u.i == 1\nassert list(u) == [2, 3]",
        "assert Color.RED is Color['RED']\nassert [c.name for c in Color] == ['RED']",
        "p = P(1, 2)\nassert p.x == 1 and p == (1, 2) and p._replace(x=5).x == 5",
        "c = Counter('aab')\nassert c['z'] == 0 and c.most_common(1) == [('a', 2)]",
        "d = defaultdict(list)\nassert d['a'] == []\nassert d == {'a': []}",
        "assert deque([1, 2]) == __import__('collections').deque([1, 2])",
        "known['b'] = 2\nassert g('b') == 2\ng('c')\nassert known == {'a': 1, 'b': 2, 'c': 0}",
    ],
)
def test_classes_errors_and_containers_of_a_program_are_what_they_are(tests: str) -> None:
    found = other(tests)
    assert found.outcome == "passed", found.why


@pytest.mark.parametrize(
    ("more", "tests"),
    [
        ("class h(list):\n    def push(self, x): self.append(x)", "s = h()\ns.push(1)"),
        ("class h(int):\n    def __gt__(s, o): return True", "assert isinstance(h(1), h)"),
        ("class h(D):\n    def __gt__(s, o): return s is not o", "assert h() > 3"),
        ("async def h(): return 1", "import asyncio\nassert asyncio.run(h()) == 1"),
        (
            "import dataclasses\n@dataclasses.dataclass\nclass h:\n    x: int = 1",
            "import dataclasses\nassert dataclasses.asdict(h()) == {'x': 1}",
        ),
        ("def h(): return D()", "import copy, json\ncopy.copy(h())"),
        ("def h(): return D()", "import json\njson.dumps(h())"),
        ("def h(): pass", "class K(D): pass\nassert K().me()"),
        ("h = Exception", "try: f()\nexcept h: pass"),
        ("def h(): pass", "assert E('x', 3).code == 3"),
        ("def h(g): return g()", "try: h(lambda: 1)\nexcept Exception: pass"),
    ],
)
def test_what_can_not_be_had_from_here_is_no_fault_of_the_program(more: str, tests: str) -> None:
    assert other(tests, more).outcome == "unsupported"


def test_unequal_is_asked_of_the_program_as_such_and_of_plain_data_not_at_all() -> None:
    never = "class h:\n    __eq__ = __ne__ = lambda *_: False"
    tests = "a, b = h(), h()\nassert not a == b\nassert not a != b\nassert a != 1\nassert 1 != a"
    assert other(tests, never).outcome == "passed"


LIAR = """
class Liar:
    def __getattr__(self, name): return lambda *_: self
    __sub__ = __rsub__ = __add__ = __radd__ = __mod__ = lambda *_: Liar()
    __round__ = __abs__ = __neg__ = lambda *_: Liar()
    __lt__ = __le__ = __gt__ = __ge__ = __eq__ = __bool__ = lambda *_: True
    __ne__ = lambda *_: False
    __hash__ = lambda self: hash(5)
    __enter__ = lambda self: self
    __exit__ = __contains__ = lambda *_: True
class E(Exception):
    pass
def f(*_): return Liar()
"""


@pytest.mark.parametrize(
    "tests",
    [
        "assert abs(f() - 0.5) < 1e-6",
        "assert round(f() - 0.5, 3) == 0",
        "assert not f() - 5 > 0",
        "assert 0.4 < f() < 0.6",
        "assert 5 == f()",
        "assert not f() != 5",
        "assert f() in [5]",
        "assert 5 in f()",
        "assert {5: 1}[f()]",
        "assert [f()] == [5]",
        "try: assert f() - 1 < 3\nexcept Exception: pass",
        "with f() as one:\n    assert one == 5",
        "with f():\n    assert f() == 5",
        "try:\n    f(-1)\n    assert False\nexcept E: pass",
    ],
)
@pytest.mark.parametrize("error", ["", "E = AssertionError", "E = Exception", "E = BaseException"])
def test_an_object_that_lies_about_all_it_is_asked_passes_nothing(tests: str, error: str) -> None:
    assert judged(f"{LIAR}\n{error}", tests, "f", "E").outcome in ("failed", "unsupported")


@pytest.mark.parametrize(
    "tests",
    ["h()[0]", "h() + 1", "h().x", "len(h())", "h() < h()", "hash(h())", "with h(): pass"],
)
def test_a_program_whose_object_lacks_what_is_asked_of_it_is_wrong(tests: str) -> None:
    lacking = "class Bare:\n    __hash__ = None\ndef h(): return Bare()"
    for more in ("def h(): return None", lacking):
        if "hash" not in tests or more is lacking:
            assert other(tests, more).outcome == "failed"
