"""A second, slow decoder in plain Python over the protobuf classes.

It shares no code with the package and was written from the protocol facts and the data, so that
the compiled decoder has something independent to be held against.
"""
