"""A network that is built once its public weights have been read, because these decide some of its options."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass

from distill.errors import UserError
from distill.types import FaceNetwork
from teachers.card import Card
from teachers.layouts.known import Found, read_as, recognise
from teachers.layouts.layout import Layout, Options, Seen
from teachers.weights import WeightFile, load_into


@dataclass(frozen=True)
class Draft:
    """``build`` makes a network of class ``kind`` from options, of which ``given`` are those of the configuration.

    An option that is given with the constructor's default is taken from the file; any other has to agree with it.
    """

    layout: Layout
    kind: type[FaceNetwork]
    given: Options
    build: Callable[[Options], FaceNetwork]

    def filled(self, weights: WeightFile) -> FaceNetwork:
        """The network with these weights; UserError where they are of another network or layout."""
        seen = read_as(self.layout, weights.tensors)
        if seen is None:
            self._refuse_known(weights)
        else:
            self._require_agreement(weights, seen)
        options = {**self.given, **self.layout.fixed, **(seen.options if seen is not None else {})}
        network = self.build(options)
        load_into(network, weights, self.layout.names(options))
        return network

    def card(self, name: str) -> Card:
        """Of weights that have none: what the layout knows."""
        return Card(
            name=name,
            source=f"weights from elsewhere in the layout of {self.layout.source}",
            licence="that of the weights; ask whoever published them",
            preprocessing=self.layout.preprocessing,
        )

    def _refuse_known(self, weights: WeightFile) -> None:
        """Name a file of another layout; one that is unknown is refused with its names when it is loaded."""
        if (found := recognise(weights.tensors)) is not None:
            raise UserError(
                f"{weights.path} looks like {found.seen.words}, and teacher.layout={self.layout.name} reads "
                f"{self.layout.source}; use {found.advice}"
            )

    def _require_agreement(self, weights: WeightFile, seen: Seen) -> None:
        parameters = inspect.signature(self.kind).parameters
        for option, value in seen.options.items():
            default = parameters[option].default
            given = self.given.get(option, default)
            if given not in (value, default):
                raise UserError(
                    f"{weights.path} looks like {seen.words}, and teacher.network.{option} is {given}; use "
                    f"{Found(self.layout, seen).advice}"
                )
