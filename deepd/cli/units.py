"""The systemd units: the daemon of one user, and one for a whole machine."""

from __future__ import annotations

from collections.abc import Sequence

NAME = "deepd.service"

_UNIT = """\
# {title}
# Written by `{by}`; `systemctl {scope}edit deepd` adds what should stay.
[Unit]
Description=Sandboxes for AI agents, with approvals
{after}# Tried again for as long as it takes: a full disk has room one day, an engine comes back.
StartLimitIntervalSec=0

[Service]
Type=notify
NotifyAccess=main
ExecStart={start}
ExecReload=/bin/kill -HUP $MAINPID
{account}
# It is pinged only while the daemon's loop turns and its store answers.
WatchdogSec=30
Restart=on-failure
RestartSec=2
TimeoutStartSec=120
TimeoutStopSec=60
# What a killed daemon left running goes on, and the next one takes it up: nothing runs twice.
KillMode=process
# A command that the kernel ends for want of memory is a command's end, not the daemon's.
OOMPolicy=continue
LimitNOFILE=65536

# Hardening, as far as it leaves an unprivileged bubblewrap its namespaces for local sandboxes.
UMask=0077
NoNewPrivileges=yes
LockPersonality=yes
RestrictRealtime=yes
RestrictSUIDSGID=yes
SystemCallArchitectures=native
{hardening}
[Install]
WantedBy={target}
"""

_USER = {
    "title": "deepd for one user: ~/.config/systemd/user/deepd.service",
    "scope": "--user ",
    "after": "",
    "account": "# RuntimeDirectory would be shared with other units; deepd makes its own folders.",
    "hardening": "",
    "target": "default.target",
}

_SYSTEM = {
    "title": "deepd for a machine: /etc/systemd/system/deepd.service",
    "scope": "",
    "after": "After=docker.service podman.socket\nWants=docker.service\n",
    "account": """\
User=deepd
# Who may speak to Docker's socket is root in all but name: leave this out for local sandboxes.
SupplementaryGroups=docker
RuntimeDirectory=deepd
RuntimeDirectoryMode=0700
# The sockets' folder stays while the daemon is away: sandboxes hold on to nothing in it.
RuntimeDirectoryPreserve=yes
StateDirectory=deepd
StateDirectoryMode=0700
ConfigurationDirectory=deepd
Environment=DEEPD_RUNTIME_DIR=/run/deepd DEEPD_STATE_DIR=/var/lib/deepd XDG_CONFIG_HOME=/etc""",
    "hardening": """\
CapabilityBoundingSet=
AmbientCapabilities=
ProtectSystem=strict
ProtectHome=read-only
PrivateTmp=yes
ProtectClock=yes
ProtectControlGroups=yes
ProtectHostname=yes
ProtectKernelModules=yes
RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6 AF_NETLINK
SystemCallFilter=~@clock @cpu-emulation @module @obsolete @raw-io @reboot @swap
""",
    "target": "multi-user.target",
}


def render_unit(command: Sequence[str], *, system: bool) -> str:
    """Return a unit whose service runs this command."""
    by = f"deepd service install{' --system' if system else ''}"
    start = " ".join(map(_quoted, command))
    return _UNIT.format(by=by, start=start, **(_SYSTEM if system else _USER))


def _quoted(word: str) -> str:
    """Return a word of a command line as systemd reads it."""
    text = word.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%").replace("$", "$$")
    return f'"{text}"' if not word or set(word) & set(" \t\"'\\;") else text
