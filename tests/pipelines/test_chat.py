"""Conversations in every arm: exact probabilities, who sees what, what is cut, what it costs."""

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, replace
from itertools import product

import pytest

from actors.blend import Blend
from actors.config import ModelConfig, Sampling
from actors.generator import ModelGenerator
from actors.host import Host
from actors.types import Candidate, Completion, Item, Message, Preview, Score
from pipelines.base import Solution
from pipelines.chat import Config, answers, solve
from pipelines.progress import Tally
from results.schema import CandidateRecord, Record, ReplyRecord, ScoreRecord, UsageRecord

TURNS = 2


def talk(num_turns: int = TURNS, name: str = "talk", system: str = "") -> Item:
    head = (Message(role="system", content=system),) if system else ()
    return Item(
        id=name,
        task="t",
        question="u0",
        reference="",
        messages=(*head, Message(role="user", content="u0")),
        follow_ups=tuple(f"u{number}" for number in range(1, num_turns)),
    )


class Member:
    """Says its name and the turn; keeps what it was shown. A token is a word."""

    def __init__(self, name: str, context: int = 10_000) -> None:
        self.name = name
        self.context = context
        self.shown: list[tuple[Message, ...]] = []

    def says(self, item: Item) -> str:
        return f"{self.name} {item.id.rpartition(' ')[2]}"

    async def generate(
        self, item: Item, *, n: int, sampling: Sampling, greedy: bool = False, only: object = None
    ) -> list[Candidate]:
        assert (n, greedy, only) == (1, False, None)
        self.shown.append(item.messages)
        text = self.says(item)
        return [
            Candidate(
                index=0,
                member=self.name,
                decoding="sample",
                text=text,
                finish_reason="stop",
                prompt_tokens=words(item.messages),
                tokens=len(text.split()),
                logprob=-1.0,
                seed=len(self.shown),
                seconds=1.0,
                cached_tokens=1,
            )
        ]

    async def room(self, prompts: Sequence[tuple[Message, ...]]) -> list[int]:
        return [self.context - words(messages) for messages in prompts]


def words(messages: Sequence[Message]) -> int:
    return sum(len(message.content.split()) for message in messages)


def played(
    item: Item, *members: Member, seed: int = 7, scorers: Mapping[str, object] | None = None,
    config: Config | None = None,
) -> Solution:  # fmt: skip
    by_name = {member.name: member for member in members}
    blend = Blend(by_name, dict.fromkeys(by_name, 1 / len(members)), seed=seed)  # type: ignore[arg-type]
    call = solve(item, config or Config(), blend=blend, scorers=scorers or {})  # type: ignore[arg-type]
    return asyncio.run(call)


def by_arm(solution: Solution) -> dict[str, Candidate]:
    return {candidate.arm: candidate for candidate in solution.candidates}


# Toy members with binary replies and one-step memory: P(1 | the last reply), 0 before the first.

P_ONE = {"A": (0.9, 0.1), "B": (0.2, 0.8)}


class Toy(Member):
    """Replies its name and the next bit of a script; multiplies up how likely that was."""

    def __init__(self, name: str, bits: Sequence[int], *, hears_others: bool = True) -> None:
        super().__init__(name)
        self.bits = bits
        self.hears_others = hears_others
        self.chance = 1.0

    def says(self, item: Item) -> str:
        replies = [m.content for m in item.messages if m.role == "assistant"]
        if not self.hears_others:
            replies = [text for text in replies if text[0] == self.name]
        one = P_ONE[self.name][int(replies[-1][1]) if replies else 0]
        bit = self.bits[int(item.id.rpartition(" ")[2])]
        self.chance *= one if bit else 1.0 - one
        return f"{self.name}{bit}"


class Drawn(Blend):
    """Draws by a script: by the item's id."""

    script: Mapping[str, str]

    def draw(self, item_id: str, index: int = 0) -> str:
        return self.script[item_id]


def outcomes(arm: str, *, hear_others: bool = True) -> Iterator[tuple[tuple[int, ...], float]]:
    """Every pair of replies in every way to come about, with its probability."""
    whole = arm == "conversation"
    config = Config(arms=(arm,))  # type: ignore[arg-type]
    for names in product("AB", repeat=1 if whole else 2):
        ids = ["talk"] if whole else [f"talk|turn {number}" for number in range(2)]
        for bits in product((0, 1), repeat=2):
            members = {n: Toy(n, bits, hears_others=hear_others) for n in "AB"}
            blend = Drawn(members, {"A": 0.5, "B": 0.5}, seed=0)  # type: ignore[arg-type]
            blend.script = dict(zip(ids, names, strict=True))
            asyncio.run(solve(talk(), config, blend=blend, scorers={}))
            chance = 0.5 ** len(names) * members["A"].chance * members["B"].chance
            yield bits, chance


@pytest.mark.parametrize(
    ("arm", "hear_others", "first", "second", "both"),
    [
        ("blend", True, 0.55, 0.495, 0.2475),
        ("blend", False, 0.55, 0.40, 0.1525),
        ("conversation", True, 0.55, 0.25, 0.125),
    ],
    ids=["per turn, mixed history", "per turn, own replies only", "per conversation"],
)
def test_the_joint_distribution_of_replies_by_enumeration(
    arm: str, hear_others: bool, first: float, second: float, both: float
) -> None:
    """The second row is what a blend would be if members didn't hear each other: it is told apart
    from the first."""
    found = list(outcomes(arm, hear_others=hear_others))
    assert sum(chance for _, chance in found) == pytest.approx(1.0)
    assert sum(chance for bits, chance in found if bits[0]) == pytest.approx(first)
    assert sum(chance for bits, chance in found if bits[1]) == pytest.approx(second)
    assert sum(chance for bits, chance in found if all(bits)) == pytest.approx(both)


def test_every_member_sees_all_user_turns_and_all_replies_whoever_wrote_them() -> None:
    members = [Member(name) for name in "abc"]
    solution = played(talk(20, system="be kind"), *members, config=Config(arms=("blend",)))
    (blend,) = solution.candidates
    assert {reply.member for reply in blend.replies} == set("abc")
    shown = sorted((m for member in members for m in member.shown), key=len)
    assert [len(messages) for messages in shown] == list(range(2, 42, 2))
    said = [reply.text for reply in blend.replies]
    for number, messages in enumerate(shown):
        assert messages[0] == Message(role="system", content="be kind")
        users = [m.content for m in messages if m.role == "user"]
        assert users == [f"u{i}" for i in range(number + 1)]
        assert [m.content for m in messages if m.role == "assistant"] == said[:number]
        assert messages[-1].role == "user"


def test_there_is_an_arm_for_each_member_for_one_per_conversation_and_for_the_blend() -> None:
    arms = by_arm(played(talk(6), Member("a"), Member("b")))
    assert list(arms) == ["a alone", "b alone", "one per conversation", "blend"]
    assert [candidate.index for candidate in arms.values()] == [0, 1, 2, 3]
    assert {r.member for r in arms["a alone"].replies} == {"a"}
    assert len({r.member for r in arms["one per conversation"].replies}) == 1
    assert {r.member for r in arms["blend"].replies} == {"a", "b"}
    first = arms["blend"].replies[0]
    assert arms["blend"].text.startswith(f"{first.text}\n<turn> user\nu1\n<turn> assistant\n")


def test_a_blend_of_one_is_the_member_alone() -> None:
    arms = by_arm(played(talk(4), Member("a")))
    replies = [candidate.replies for candidate in arms.values()]
    assert replies == [replies[0]] * 3


def test_arms_with_the_same_history_and_member_share_a_reply_that_is_asked_for_once() -> None:
    members = Member("a"), Member("b")
    solution = played(talk(5), *members)
    arms = by_arm(solution)
    chosen = arms["one per conversation"].replies[0].member
    assert arms["one per conversation"].replies == arms[f"{chosen} alone"].replies
    begins = arms["blend"].replies[0]
    assert begins == arms[f"{begins.member} alone"].replies[0]
    for member in members:
        assert len(member.shown) == len(set(member.shown)), "nothing is asked for twice"
    asked = {use.model: (use.requests, use.generated) for use in solution.usage}
    assert asked == {m.name: (len(m.shown), 2 * len(m.shown)) for m in members}


@pytest.mark.parametrize("small", ["a", "b"])
def test_each_arm_is_cut_to_the_smallest_context_of_those_who_may_reply(small: str) -> None:
    """A turn has 3 words; a reply of 2 is to fit."""
    config = Config(sampling=Sampling(max_tokens=2))
    members = [Member(name, context=9 if name == small else 99) for name in "ab"]
    arms = by_arm(played(talk(5), *members, config=config))
    cuts = {name: [r.cut for r in arms[f"{name} alone"].replies] for name in "ab"}
    assert cuts.pop(small) == [0, 0, 0, 1, 2]
    assert list(cuts.values()) == [[0, 0, 0, 0, 0]]
    assert [r.cut for r in arms["blend"].replies] == [0, 0, 0, 1, 2]
    assert max(r.prompt_tokens for r in arms["blend"].replies) == 7


def test_the_system_message_and_the_newest_turn_are_never_cut() -> None:
    member = Member("a", context=6)
    played(talk(4, system="be kind"), member, config=Config(sampling=Sampling(max_tokens=2)))
    for number, messages in enumerate(member.shown):
        assert messages[0].role == "system"
        assert messages[-1].content == f"u{number}"
    assert [len(messages) for messages in member.shown] == [2, 2, 2, 2]


def test_a_member_prefills_what_came_since_its_last_call() -> None:
    """A user's turn is one token, a reply two."""
    arms = by_arm(played(talk(9), Member("a"), Member("b")))
    assert [r.fresh_tokens for r in arms["a alone"].replies] == [1] * 9
    last: dict[str, int] = {}
    for number, reply in enumerate(arms["blend"].replies):
        gap = number - last.get(reply.member, -1)
        missed = 3 * (gap - 1) + 1
        assert reply.fresh_tokens == missed
        last[reply.member] = number


def test_a_cut_history_is_prefilled_anew() -> None:
    config = Config(sampling=Sampling(max_tokens=2), arms=("alone",))
    (alone,) = played(talk(5), Member("a", context=9), config=config).candidates
    assert [r.cut for r in alone.replies] == [0, 0, 0, 1, 2]
    assert [r.fresh_tokens for r in alone.replies] == [1, 1, 1, 7, 7]


class Thinker(Member):
    """Thinks two words, and says one."""

    def says(self, item: Item) -> str:
        return " <think>hm hm</think> yes\n"


def test_a_thought_is_kept_with_its_reply_and_is_in_no_later_prompt() -> None:
    member = Thinker("a")
    (alone,) = played(talk(3), member, config=Config(arms=("alone",))).candidates
    assert [r.text for r in alone.replies] == ["<think>hm hm</think> yes"] * 3
    last = [m.content for m in member.shown[-1] if m.role == "assistant"]
    assert last == ["yes", "yes"]
    assert [r.fresh_tokens for r in alone.replies] == [1, 2, 2], "what it said is read again"


@pytest.mark.parametrize("num", [2, 3])
def test_in_the_long_run_a_blend_of_n_prefills_n_turns_for_each(num: int) -> None:
    """The gap between two calls of a member is geometric with mean N; a turn has 3 tokens, of
    which 2 need no prefill where the member wrote them itself."""
    members = [Member(name) for name in "abc"[:num]]
    (blend,) = played(talk(250), *members, config=Config(arms=("blend",))).candidates
    mean = sum(r.fresh_tokens for r in blend.replies) / 250
    assert mean == pytest.approx(3 * num - 2, rel=0.15)


def test_tokens_of_a_shared_reply_are_counted_once() -> None:
    member = Member("a")
    solution = played(talk(4), member)
    candidates = [record(c.index, c.arm, None) for c in solution.candidates]
    shared = (ReplyRecord(**asdict(solution.candidates[0].replies[0])),)
    (use,) = solution.usage
    tally = Tally()
    kept = Record(
        item_id="talk", task="t", messages=(), choices=(), reference="", group="", category="",
        candidates=tuple(replace(c, replies=shared, tokens=8) for c in candidates), answers=(),
        outcome="ok", error=None, usage=(UsageRecord(
            role=use.role, model="a", requests=use.requests, prompt_tokens=use.tokens,
            tokens=use.generated,
        ),),
    )  # fmt: skip
    tally.finished(kept, 1.0)
    assert tally.tokens == 8, "three arms say the same four replies of two words"


class Longest:
    """A conversation is worth its words; one without an `a` has no verdict."""

    def __init__(self) -> None:
        self.asked = 0

    async def score(self, item: Item, candidates: Sequence[Candidate]) -> list[Score]:
        self.asked += 1
        return [Score(value=float(len(c.text)) if "a" in c.text else None) for c in candidates]


def test_scorers_see_all_arms_of_an_item_at_once() -> None:
    scorer = Longest()
    solution = played(talk(2), Member("a"), Member("ba"), scorers={"long": scorer})
    assert scorer.asked == 1
    assert len(solution.scores["long"]) == len(solution.candidates) == 4


def record(index: int, arm: str, score: float | None) -> CandidateRecord:
    return CandidateRecord(
        index=index, member="a", decoding="conversation", text="", answer=None,
        outcome="ungraded", finish_reason="stop", prompt_tokens=1, tokens=1, logprob=None,
        seed=None, correct=None, grade=(), seconds=0.0, arm=arm,
        scores=(ScoreRecord(scorer="s", value=score),),
    )  # fmt: skip


def wins(*scores: float | None) -> dict[tuple[str, str], float]:
    arms = ("a alone", "b alone", "blend")
    pool = [record(i, arm, s) for i, (arm, s) in enumerate(zip(arms, scores, strict=True))]
    (rows,) = answers([pool], Config())
    return {(row.method, row.metric): row.value for row in rows}


def test_a_win_is_a_higher_score_and_a_tie_is_half_of_one() -> None:
    assert wins(1.0, 2.0, 1.0) == {
        ("b alone", "beats a by s"): 1.0,
        ("blend", "beats a by s"): 0.5,
        ("a alone", "beats b by s"): 0.0,
        ("blend", "beats b by s"): 0.0,
    }


def test_a_conversation_without_a_verdict_neither_wins_nor_loses() -> None:
    assert wins(None, 2.0, 3.0) == {("blend", "beats b by s"): 1.0}
    assert wins(1.0, 2.0, None).keys() == {("b alone", "beats a by s"), ("a alone", "beats b by s")}


def test_seeds_of_a_turn_do_not_depend_on_how_many_follow() -> None:
    short, long = (
        by_arm(played(talk(num), Member("a"), Member("b")))["blend"].replies for num in (3, 9)
    )
    assert [r.member for r in short] == [r.member for r in long[:3]]


class Hosted:
    """A host in this process, as `roles.Model`; keeps the prompts that it was given."""

    def __init__(self, name: str, config: ModelConfig) -> None:
        self.name = name
        self.host = Host(name, config)
        self.shown: list[tuple[Message, ...]] = []

    async def generate(
        self, item: Item, *, seeds: Sequence[int | None], sampling: Sampling, top_logprobs: int = 0
    ) -> list[Completion]:
        self.shown.append(item.messages)
        return await self.host.generate(item, seeds, sampling, top_logprobs)

    async def room(self, prompts: Sequence[tuple[Message, ...]]) -> list[int]:
        return await self.host.room(prompts)


async def two_real_turns() -> tuple[dict[str, Candidate], dict[str, Preview | None]]:
    """SmolLM2 by its chat template and Gemma, a base model, by dialogue: `small` writes first."""
    models = {
        "small": Hosted("small", ModelConfig(engine="hf", path="bundled:smollm2-135m-instruct")),
        "base": Hosted(
            "base", ModelConfig(engine="hf", path="bundled:gemma-3-270m", template="dialogue")
        ),
    }
    members = {name: ModelGenerator(model, seed=1) for name, model in models.items()}  # type: ignore[arg-type]
    blend = Drawn(members, {"small": 0.5, "base": 0.5}, seed=1)
    item = replace(talk(), follow_ups=("Name one more.",), messages=(
        Message(role="user", content="Name an animal."),
    ))  # fmt: skip
    blend.script = {"talk": "base", "talk|turn 0": "small", "talk|turn 1": "base"}
    for model in models.values():
        await model.host.start()
    config = Config(sampling=Sampling(max_tokens=24, temperature=0.05))
    solution = await solve(item, config, blend=blend, scorers={})
    last = replace(item, messages=models["base"].shown[-1])
    prompts = {name: await model.host.preview(last) for name, model in models.items()}
    for model in models.values():
        await model.host.stop()
    return by_arm(solution), prompts


def test_two_real_models_talk_to_one_user_through_their_own_templates() -> None:
    arms, prompts = asyncio.run(two_real_turns())
    first, second = arms["blend"].replies
    assert (first.member, second.member) == ("small", "base")
    assert first == arms["small alone"].replies[0]
    assert second != arms["base alone"].replies[1]
    small, base = prompts["small"], prompts["base"]
    assert small is not None
    assert base is not None
    assert base.text == (
        f"<bos>User: Name an animal.\nAssistant: {first.text}\nUser: Name one more.\nAssistant:"
    )
    assert f"<|im_start|>assistant\n{first.text}<|im_end|>" in small.text
    assert second.prompt_tokens == len(base.ids) == second.fresh_tokens
    plain = arms["base alone"].replies[0]
    assert plain.finish_reason == "stop", "where it would go on with the user's next turn"
    assert "User:" not in plain.text
    again = arms["small alone"].replies
    assert again[1].fresh_tokens == again[1].prompt_tokens - again[0].prompt_tokens - (
        again[0].tokens or 0
    )
