"""The profile that `deepd init` writes: small, commented, and safe as it is."""

from __future__ import annotations

import tomli_w

DEFAULT_IMAGE = "python:3.12-slim"

_STARTER = """\
# A profile of deepd: what a sandbox looks like, and which calls a person sees first.
# Check it with `deepd check`, start it with `deepd start -c`. The file is read again when it
# changes. For help in an editor: `deepd schema > profile.schema.json`, and as this file's first
# line `#:schema ./profile.schema.json`.

{image}
# Stop the sandbox after so long without work; the next call starts it again. 0 = never.
idle_timeout = "1h"

# Folders of this machine, relative to this file, as "source:target" or "source:target:ro".
# Each session has a folder of its own at work_dir, so this may stay empty.
volumes = []
work_dir = "/workspace"

# Held until a person has approved: true is every call, or name the tools:
# execute, read_file, write_file, edit_file, ls, glob, grep.
interrupt_on = ["execute", "write_file", "edit_file"]

# Each of these has the safe default that is shown.
# env = {{PYTHONUNBUFFERED = "1"}}
# secrets = ["PIP_TOKEN"]             # taken from the daemon's environment, masked in logs
# setup = ["pip install -e ."]        # run once in each new container

# [limits]
# memory = "1g"
# cpus = 2.0
# pids = 256
# timeout = "5m"                      # of a call

# [security]
# network = "none"                    # none | bridge | the name of a network

# [approvals]
# timeout = "15m"
# on_timeout = "deny"                 # deny | keep
"""


def starter_profile(image: str = DEFAULT_IMAGE) -> str:
    """Return the text of a profile for an image."""
    return _STARTER.format(image=tomli_w.dumps({"image": image}))
