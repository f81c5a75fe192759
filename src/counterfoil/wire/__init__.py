"""How Microsoft spells things: request and response bodies, blobs, pages, signed tokens. No I/O beyond the bytes."""
