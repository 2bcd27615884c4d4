"""All that touches the disk, in wings; each uses only those that are named before it.

`system`, `trees`, `project`, `settings`, `root`, `repositories`, `workers`, `scanning`, `claiming`,
`shelf`, `archive`, `artefacts`, `sweep`.
"""
