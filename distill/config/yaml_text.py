"""YAML in which text stays text: an unquoted value of a text option is what stands in the file.

YAML would read ``name: 2026_11_29`` as a number, ``name: 1:30`` as ninety, ``name: on`` as a truth and
``name: 2026-11-29`` as a date.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import IO, Any

import yaml
from omegaconf import OmegaConf
from omegaconf._utils import get_yaml_loader  # the one that OmegaConf.load reads with

from distill.config.overrides import escaped
from distill.config.text_options import TextOption, text_parameter

TEXT, NULL = "tag:yaml.org,2002:str", "tag:yaml.org,2002:null"
MERGE = "tag:yaml.org,2002:merge"
TARGET = "_target_"
Lookup = Callable[[tuple[str, ...]], TextOption | None]
"""The text option at a place in the file, if there is one."""


def load_yaml(file: IO[str], lookup: Lookup, rename: Callable[[Any], None] = lambda content: None) -> Any:
    """The configuration in an open YAML file, as ``OmegaConf.load`` reads it but for the text options.

    ``rename`` may first change keys of the plain content. Raises what that raises: yaml.YAMLError, OmegaConf's errors.
    """
    loader = get_yaml_loader()(file)
    try:
        node = loader.get_single_node()
        content = {} if node is None else loader.construct_document(_kept(node, (), lookup))
        rename(content)
        return OmegaConf.create(content)
    finally:
        loader.dispose()


def _kept(node: yaml.Node, place: tuple[str, ...], lookup: Lookup) -> yaml.Node:
    """A copy of the node whose text is tagged as such; the node itself may stand in other places too."""
    if isinstance(node, yaml.MappingNode):
        pairs = [(key, _kept_value(node, key, value, place, lookup)) for key, value in node.value]
        return yaml.MappingNode(node.tag, pairs, node.start_mark, node.end_mark, node.flow_style)
    if isinstance(node, yaml.SequenceNode):
        items = [_kept(item, (*place, str(index)), lookup) for index, item in enumerate(node.value)]
        return yaml.SequenceNode(node.tag, items, node.start_mark, node.end_mark, node.flow_style)
    option = lookup(place)
    return node if option is None else _kept_scalar(node, option)


def _kept_value(
    owner: yaml.MappingNode, key: yaml.Node, value: yaml.Node, place: tuple[str, ...], lookup: Lookup
) -> yaml.Node:
    if key.tag == MERGE:
        return _kept(value, place, lookup)
    inner = (*place, str(key.value))
    target = next((v.value for k, v in owner.value if k.value == TARGET and isinstance(v, yaml.ScalarNode)), None)
    if target is None or isinstance(value, yaml.MappingNode):
        return _kept(value, inner, lookup)
    option = text_parameter(target, str(key.value))
    return _kept(value, inner, lambda _: option)


def _kept_scalar(node: yaml.Node, option: TextOption) -> yaml.Node:
    assert isinstance(node, yaml.ScalarNode)
    if node.tag == NULL and (node.value == "" or (option.clears and node.value in ("null", "~"))):
        return node
    text = escaped(node.value)
    if node.tag == TEXT and text == node.value:
        return node
    return yaml.ScalarNode(TEXT, text, node.start_mark, node.end_mark, node.style)
