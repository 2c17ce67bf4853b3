"""Setup: a profile's own commands, run once in each new container before anybody's first call."""

from __future__ import annotations

from deepd.daemon.environment import call_env, secret_values
from deepd.daemon.live import Live
from deepd.daemon.mask import Mask
from deepd.guest.requests import Execute, How
from deepd.model.profile import Profile
from deepd.reconcile.facts import SetupError

KEEP = 64 * 1024
TAIL = 2000
"""Characters of the output that are shown with an event."""


async def run_setup(live: Live, profile: Profile) -> str:
    """Run the commands in their order and return the end of what they printed.

    Raises `SetupError` at the first that fails, with what it printed last.
    """
    masked = Mask(secret_values([profile]))
    printed = ""
    for command in profile.setup:
        request = Execute(  # noqa: S604 - the sandbox's shell, for the profile's own commands
            args=(command,),
            shell=True,
            env=call_env(profile),
            merge=True,
            timeout=profile.limits.max_timeout,
            output_kill=profile.limits.output_kill,
        )
        result = await live.sandbox.execute(request, keep=KEEP)
        text = masked.text(result.output.decode(errors="replace"))
        printed = (printed + text)[-TAIL:]
        if result.exit.how is not How.EXITED or result.exit.code:
            raise SetupError(
                f"setup `{command}` {_how(result.exit.how, result.exit.code)}: "
                f"{text.strip()[-TAIL:] or 'it printed nothing'}",
                next_step="mend `setup` in the profile, or start the session again to retry",
            )
    return printed


def _how(how: How, code: int) -> str:
    match how:
        case How.EXITED:
            return f"exited with {code}"
        case How.TIMED_OUT:
            return "took longer than `limits.max_timeout`"
        case How.OUTPUT:
            return "printed more than `limits.output_kill`"
        case _:
            return f"ended by {how.name.lower()} ({code})"
