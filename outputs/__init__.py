"""Where tracked hands go: files, other programs, and recorded tracks that are read again.

`writer` and `record` say what all of them take and mean; `files` and `bvh` write; `live` sends, by `udp` and `websocket`,
what `osc`, `vmc`, `hts`, `leap` and the JSON line make of a `lost.Moment`; `replay` reads.
"""
