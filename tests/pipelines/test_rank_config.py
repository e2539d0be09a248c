"""What a rank config may say, and what its refusals tell the user."""

import pytest

from actors.config import parse
from actors.types import ConfigError
from pipelines.methods.consensus import READS
from pipelines.rank import Config
from pipelines.rankers import RANKERS, names, scorer_of


def test_draw_sizes_are_powers_of_two_and_n_unless_ks_says_otherwise() -> None:
    assert Config(n=12).draw_sizes == (1, 2, 4, 8, 12)
    assert Config(n=1).draw_sizes == (1,)
    assert Config(n=8).draw_sizes == (1, 2, 4, 8)
    assert Config(n=12, ks=(5, 3, 5)).draw_sizes == (3, 5)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"n": 4, "ks": [1, 8]}, "pipeline: ks: wanted draw sizes from 1 to n = 4, got 8"),
        ({"n": 4, "ks": [0]}, "pipeline: ks: wanted draw sizes from 1 to n = 4, got 0"),
        ({"n": 0}, "pipeline.n: input should be greater than or equal to 1, got 0"),
        ({"n": "8"}, "pipeline.n: input should be a valid integer, got '8'"),
        ({"rankers": ["majorty"]}, "unknown ranker 'majorty'; known: first, majority, best_of:"),
        ({"rankers": ["best_of"]}, "wanted 'best_of:SCORER', got 'best_of'"),
        ({"rankers": ["best_of:"]}, "wanted 'best_of:SCORER', got 'best_of:'"),
        ({"rankers": ["majority:s"]}, "wanted 'majority', got 'majority:s'"),
        ({"sampling": {"temperature": 0}}, "pipeline.sampling.temperature: .* greater than 0"),
        ({"sampling": {"top_p": 0}}, "pipeline.sampling.top_p: .* greater than 0"),
        ({"sampling": {"top_p": 1.5}}, "pipeline.sampling.top_p: .* less than or equal to 1"),
        ({"sampling": {"top_pp": 1}}, "sampling.top_pp: unknown key; did you mean 'top_p'"),
    ],
)
def test_a_config_that_makes_no_sense_is_refused(settings: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message) as error:
        parse(Config, settings, "pipeline")
    assert len(str(error.value).splitlines()) == 1


def test_names_say_which_rankers_read_a_scorer() -> None:
    own = ["first", "majority", "best_of:SCORER", "weighted:SCORER", "oracle"]
    assert names() == [*own, *READS]
    assert {name for name in RANKERS if RANKERS[name].scored} == {"best_of", "weighted"}
    assert (scorer_of("best_of:armo"), scorer_of("majority")) == ("armo", None)
