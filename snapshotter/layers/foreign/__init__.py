"""What other formats say of a layer, in the layer or beside it: made one of our indexes.

Each format's parser is pure and gives the same thing, a `records.LayerIndex`; so nothing behind it
knows that there are other formats. What their digests prove is in `records.Proof`.
"""
