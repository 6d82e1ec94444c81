"""What the subscriber's lines mean. `specs/log-events.md` is made of it; `make check` finds what is missing."""

MEANINGS = {
    "analytics.day.compacted": "The files of a past day became one.",
    "analytics.file.removed": "A file of a roll that did not finish is gone; its messages are read again.",
    "analytics.file.written": "Events are in files, up to the message at `last_offset`; of `not_understood` the raw text.",
    "analytics.stream.attached": "The stream is read, from its start or from the mark of the last complete file.",
    "analytics.stream.lost": "The connection, or the stream, cannot be had. It is tried again, at most 5 s apart.",
    "analytics.stream.replaced": "The stream is not the one that was read. All of it is read, from its first message on.",
    "analytics.stream.truncated": "Retention removed messages before they were read: `missing` says how many at most.",
}
