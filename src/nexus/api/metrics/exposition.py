"""GET /metrics: the node's figures as Prometheus reads them.

They are collected when they are asked for, from the same values as the calls about
the cluster; nothing is counted twice.
"""

import asyncio
from typing import Final

from prometheus_client import CollectorRegistry, ProcessCollector, generate_latest
from starlette.requests import Request
from starlette.responses import Response

from nexus.api.calls import Answer, Call, Context
from nexus.api.metrics.collector import NodeCollector

TEXT: Final = "text/plain; version=0.0.4; charset=utf-8"


async def _metrics(context: Context, _request: Request) -> Response:
    figures = await asyncio.to_thread(context.node.figures)
    registry = CollectorRegistry(auto_describe=False)
    registry.register(NodeCollector(context.node, figures))
    ProcessCollector(registry=registry)
    return Response(generate_latest(registry), headers={"Content-Type": TEXT})


CALLS: Final = (
    Call(
        "GET",
        "/metrics",
        "metrics",
        "What Prometheus scrapes.",
        {200: Answer("Text exposition format.", media_type="text/plain")},
        _metrics,
        role=None,
    ),
)
