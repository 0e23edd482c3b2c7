"""The detection bench: FCOS on COCO-format data, whose object embeddings become a world for the society.

One file per idea: what a detector is (`config`), its network (`backbones`, `fpn`, `fcos`), what it should say
(`targets`, `losses`), what is read from what it says (`postprocess`), and how it is trained, measured and used
(`train`, `evaluate`, `predict`, `convert`). None of the other packages is imported: embeddings are handed over as a
file.
"""
