"""The detection bench: FCOS on COCO-format data, whose object embeddings become a world for the society.

Nothing of it is here yet. It will import none of the other packages: embeddings are handed over as a file.
"""
