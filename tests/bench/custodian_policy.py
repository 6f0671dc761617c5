"""The handler that Cloud Custodian puts into the packages of its own functions."""

from c7n import handler


def run(event, context):
    return handler.dispatch_event(event, context)
