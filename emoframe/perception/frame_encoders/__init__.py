"""Frame encoders: pictures of one person as vectors. Parts of the kind `frame_encoder`."""

from __future__ import annotations
