"""The rungs of ASHA: the steps at which it compares trials."""

from search.order import Order


def rungs(order: Order) -> list[int]:
    """Steps below the budget at which ASHA compares, none without it.

    An order is a file that hands may edit: a grace of 0, or a reduction that reduces nothing, has no rungs.
    """
    found: list[int] = []
    step = order.grace if order.asha and order.reduction > 1 else 0
    while 0 < step < order.base.train.steps:
        found.append(step)
        step *= order.reduction
    return found
