"""The road to a language model: counts, then networks, and a mixture of those that pay."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from thence.autopilot.blending import blend, blending_seconds, mixture_of
from thence.autopilot.candidates import counts, kind_of, ladder, language_part, neural_cache
from thence.autopilot.parts import Blend, Part, Rung
from thence.autopilot.search import LEAST, Search, told
from thence.autopilot.sizes import Kind
from thence.autopilot.text import Nature
from thence.models.registry import get_family


@dataclass(frozen=True)
class Language:
    """What is tried for language, and how it is put together.

    Attributes:
        search: The search that goes this road.
        nature: What the text is like.
    """

    search: Search
    nature: Nature
    mixed = "mixture"

    @property
    def kind(self) -> Kind:
        """What is modelled."""
        return kind_of(self.nature, self.search.recipe.tokens.tokens)

    def described(self) -> str:
        """Return what the text is like, in words."""
        return f"{self.nature.described()}; in {self.search.recipe.tokens.tokens}"

    def at_once(self) -> Iterator[Part]:
        """Yield what needs no training."""
        return counts(self.search.prepared, self.kind, self.search.recipe.training.carry_context)

    def rungs(self, seconds: float) -> tuple[Rung, ...]:
        """Return what is worth training in so many seconds."""
        return ladder(self.kind, seconds)

    def ending(self, parts: Sequence[Part]) -> float:
        """Return the seconds that putting the parts and one more together takes."""
        return blending_seconds([*parts, parts[0]], self.search.prepared.dev, self.search.left())

    def train(self, rung: Rung, seconds: float | None, steps: int | None) -> list[Part]:
        """Train a network; nothing where there is too little time.

        One of running words comes with a cache of its hidden states, if there is time for that.
        """
        search, prepared = self.search, self.search.prepared
        began = search.budget.spent()
        from thence.autopilot.networks import sized, train  # Torch takes its time to load.

        recipe = sized(search.recipe, prepared, rung, self.kind, seconds, steps)
        if seconds is not None:
            seconds -= search.budget.spent() - began
            if seconds < LEAST:
                return []
        name = search.name_for(f"{rung.model} {recipe.options.hidden_size}")
        carries = recipe.training.carry_context
        with search.listening(name) as listener:
            trained = train(recipe, prepared, seconds, listener, carries and self.kind == "words")
        if trained is None:
            return []
        scores = trained.model.score(prepared.dev, carries)
        more = {"training": told(trained.recipe), "curve": trained.curve}
        options = recipe.options
        part = language_part(name, rung.model, options, trained.model, scores, carries, more)
        return [part, neural_cache(part, prepared)] if trained.remembers else [part]

    def blend(self, parts: Sequence[Part], seconds: float = math.inf) -> Blend:
        """Mix the parts that pay for their place."""
        prepared = self.search.prepared
        return blend(parts, prepared.dev, len(prepared.tokenizer.vocabulary), seconds)

    def losses(self, made: Blend) -> dict[str, float]:
        """Return what the metrics say of what came out."""
        return {"dev_nats_per_token": made.nats}

    def single(self, made: Blend) -> Blend:
        """Return a network as a mixture of one; counts as they are."""
        if get_family(made.parts[0].family).method == "fit":
            return made
        mixture = mixture_of(made.parts, len(self.search.prepared.tokenizer.vocabulary))
        return replace(made, model=mixture, options=mixture.options)

    def options(self, part: Part) -> object:
        """Return the settings of a part that is written by itself."""
        return get_family(part.family).options_class()(**part.options)
