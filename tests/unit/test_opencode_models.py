"""opencode's models: which one is asked for, what stands in for it, and what is refused."""

from __future__ import annotations

import pytest

from coordinator.adapters.providers.opencode_models import choose, listed_in, wish
from coordinator.ports import Choice, NoModel, Settings

ZHIPU, ZAI, OTHER = "zhipuai-coding-plan/glm-5", "zai-coding-plan/glm-5", "anthropic/claude-opus-5"


def chosen(listed: tuple[str, ...] | None, model: str = "", **environ: str) -> Choice:
    return choose(wish(Settings(model=model), environ), listed)


def refused(listed: tuple[str, ...], model: str = "", **environ: str) -> NoModel:
    with pytest.raises(NoModel) as raised:
        chosen(listed, model, **environ)
    return raised.value


@pytest.mark.req("C15")
def test_two_models_are_allowed_where_nobody_says_otherwise_and_the_first_is_the_canonical_one() -> None:
    assert wish(Settings(), {}).allowed == (ZHIPU, ZAI)
    assert chosen((ZAI, ZHIPU)) == Choice(ZHIPU)


@pytest.mark.req("C61")
def test_one_that_is_not_listed_gives_way_to_the_next_allowed_and_that_is_said() -> None:
    assert chosen((ZAI, OTHER)) == Choice(ZAI, "opencode_model_unavailable")
    assert chosen((ZHIPU,), ZAI) == Choice(ZHIPU, "opencode_model_unavailable")


@pytest.mark.req("C34", "C103")
def test_where_no_allowed_one_is_listed_the_start_is_refused_and_another_provider_is_named() -> None:
    for listed in ((OTHER, "zhipuai-coding-plan/glm-5.1", "zhipuai-coding-plan/glm"), ()):
        none = refused(listed)
        assert (none.reason, none.code) == ("opencode_model_unavailable", 25)
        assert ZHIPU in none.words
        assert {"cc-glm", "gemini"} <= set(none.cure.replace(",", " ").split())


@pytest.mark.req("C35", "C87")
def test_one_that_is_not_allowed_is_refused_whoever_asks_for_it_and_listed_or_not() -> None:
    for none in (refused((OTHER, ZHIPU), OTHER), refused((OTHER, ZHIPU), OPENCODE_MODEL=OTHER)):
        assert (none.reason, none.code) == ("opencode_model_unsupported", 21)
        assert OTHER in none.words
        assert f"ask for {ZHIPU}" in none.cure


@pytest.mark.req("C87")
def test_the_environment_names_a_model_and_the_settings_name_it_before() -> None:
    assert chosen((ZHIPU, ZAI), OPENCODE_MODEL=ZAI) == Choice(ZAI)
    assert chosen((ZHIPU, ZAI), ZHIPU, OPENCODE_MODEL=ZAI) == Choice(ZHIPU)
    assert chosen((ZHIPU, ZAI), OPENCODE_MODEL=" ") == Choice(ZHIPU)


@pytest.mark.req("C88")
def test_the_canonical_one_may_be_another_and_is_allowed_before_the_rest() -> None:
    assert wish(Settings(), {"OPENCODE_CANONICAL_MODEL": OTHER}).allowed == (OTHER, ZHIPU, ZAI)
    assert chosen((OTHER, ZHIPU), OPENCODE_CANONICAL_MODEL=OTHER) == Choice(OTHER)


@pytest.mark.req("C89")
def test_a_list_with_commas_takes_the_place_of_the_two_but_not_of_the_canonical_one() -> None:
    assert wish(Settings(), {"OPENCODE_ALLOWED_MODELS": f" {OTHER}, ,{ZHIPU},"}).allowed == (ZHIPU, OTHER)
    assert chosen((OTHER, ZAI), OPENCODE_ALLOWED_MODELS=OTHER) == Choice(OTHER, "opencode_model_unavailable")
    assert chosen((OTHER, ZHIPU), OTHER, OPENCODE_ALLOWED_MODELS=OTHER) == Choice(OTHER)
    assert refused((ZAI,), ZAI, OPENCODE_ALLOWED_MODELS=OTHER).reason == "opencode_model_unsupported"


def test_a_list_that_cannot_be_had_says_nothing_against_a_model() -> None:
    assert chosen(None) == Choice(ZHIPU)
    with pytest.raises(NoModel):
        chosen(None, OTHER)


@pytest.mark.req("P39")
def test_names_with_hyphens_are_read_line_by_line_and_noise_is_not() -> None:
    assert listed_in(f"{ZHIPU}\n{ZAI}\n") == (ZHIPU, ZAI)
    assert listed_in("Migrating the database / please wait\n\n  a/b-c.d  \r\nnoise\n") == ("a/b-c.d",)
