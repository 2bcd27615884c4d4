"""All that touches the disk, in wings; each uses only those that are named before it.

`system`, `trees`, `project`, `root`, `workers`, `claiming`, `shelf`, `archive`, `artefacts`,
`sweep`.
"""
