"""The one line that a user reads when something is wrong."""

import pytest

from ecggen.errors import UserError


def fault_of(call, *args):
    with pytest.raises(UserError) as fault:
        call(*args)
    message = str(fault.value)
    assert "\n" not in message
    return message
