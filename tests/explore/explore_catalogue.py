"""All stories, in two sizes: the full one for a run by hand, and a cut that the tests take."""

from __future__ import annotations

from explore_call import Call, CallCancelled, CallCrossed, CallRejected
from explore_close import AbortEither, Close, CloseAmidForgeries, CloseBoth
from explore_delivery import BothWays, Delivery, Fragments, InBatches, Paused
from explore_faults import (
    CallAccepted,
    CallEnded,
    CallsCross,
    CallTakenBack,
    GroupJoined,
    GroupLeft,
    RegistryKept,
    RegistryLeft,
    RegistryTakenOver,
)
from explore_group import Group, GroupComing
from explore_handshake import Crossed, Handshake, Stranger, WithCookie
from explore_registry import RegistryExpiry, RegistryTakeover
from explore_story import Budget, Story

STORIES: dict[str, type[Story]] = {
    story.name: story
    for story in (
        Handshake,
        Crossed,
        WithCookie,
        Stranger,
        Delivery,
        Fragments,
        BothWays,
        Paused,
        InBatches,
        Close,
        CloseBoth,
        AbortEither,
        CloseAmidForgeries,
        Call,
        CallRejected,
        CallCancelled,
        CallCrossed,
        RegistryExpiry,
        RegistryTakeover,
        Group,
        GroupComing,
        CallAccepted,
        CallEnded,
        CallTakenBack,
        CallsCross,
        RegistryKept,
        RegistryLeft,
        RegistryTakenOver,
        GroupJoined,
        GroupLeft,
    )
}

LATE: dict[str, tuple[str, Budget, int | None]] = {
    # The story, its budget, and how many datagrams are in flight at most if not as many as there.
    "handshake-late": ("handshake", Budget(0, 0, 1), None),
    "cookie-late": ("cookie", Budget(0, 0, 1), None),
    "crossed-late": ("crossed", Budget(0, 0, 1), 2),
    "delivery-late": ("delivery", Budget(0, 0, 1), 3),
    "paused-late": ("paused", Budget(0, 0, 1), 2),
    "fragments-late": ("fragments", Budget(0, 0, 1), 2),
    "close-late": ("close", Budget(1, 0, 1), None),
    "close-both-late": ("close-both", Budget(0, 0, 1), None),
    "abort-late": ("abort", Budget(0, 0, 1), None),
    "call-rejected-late": ("call-rejected", Budget(0, 0, 1), None),
    "group-late": ("group", Budget(0, 0, 1), 2),
    "group-repeated": ("group", Budget(0, 1, 0), None),
    "registry-kept-late": ("registry-kept", Budget(1, 0, 1), None),
    "call-ended-late": ("call-ended", Budget(0, 0, 1), None),
    "call-taken-back-late": ("call-taken-back", Budget(0, 0, 1), None),
    "group-joined-late": ("group-joined", Budget(0, 0, 1), None),
    "group-left-late": ("group-left", Budget(0, 0, 1), None),
    "group-left-repeated": ("group-left", Budget(0, 1, 0), None),
    "calls-cross-late": ("calls-cross", Budget(0, 0, 1), None),
    # With fewer in flight the bound would lose what a loss planned has made them send again.
    "group-joined-lossy": ("group-joined", Budget(1, 1, 0), 9),
    "group-left-lossy": ("group-left", Budget(1, 1, 0), 8),
}
"""Stories again, most with a wire that is slower than timers expect: one may come due meanwhile."""

SIZES: dict[str, tuple[Budget, Budget]] = {
    # losses, repeats, delays, forgeries: in full, and cut
    "handshake": (Budget(1, 1, 0), Budget(1, 0, 0)),
    "crossed": (Budget(1, 1, 0), Budget(1, 0, 0)),
    "cookie": (Budget(2, 1, 0), Budget(1, 0, 0)),
    "stranger": (Budget(1, 0, 0, 2), Budget(0, 1, 0, 1)),
    "delivery": (Budget(1, 0, 0), Budget(0, 0, 0)),
    "fragments": (Budget(1, 1, 0), Budget(1, 0, 0)),
    "both-ways": (Budget(1, 0, 0), Budget(0, 0, 0)),
    "paused": (Budget(1, 0, 0), Budget(0, 0, 0)),
    "batches": (Budget(1, 0, 0), Budget(0, 0, 0)),
    "close": (Budget(1, 1, 0), Budget(1, 0, 0)),
    "close-both": (Budget(1, 1, 0), Budget(0, 0, 0)),
    "abort": (Budget(1, 1, 0), Budget(1, 0, 0)),
    "close-forged": (Budget(1, 0, 0, 1), Budget(0, 0, 0, 1)),
    "call": (Budget(0, 1, 0), Budget(0, 0, 0)),
    "call-rejected": (Budget(1, 1, 0), Budget(0, 1, 0)),
    "call-cancelled": (Budget(0, 1, 0), Budget(0, 0, 0)),
    "call-crossed": (Budget(0, 0, 0), Budget(0, 0, 0)),
    "registry": (Budget(0, 1, 0), Budget(0, 0, 0)),
    "registry-takeover": (Budget(0, 1, 0), Budget(0, 0, 0)),
    "group": (Budget(1, 0, 0), Budget(0, 0, 0)),
    "group-coming": (Budget(0, 0, 0), Budget(0, 0, 0)),
    "call-accepted": (Budget(1, 1, 1), Budget(1, 1, 0)),
    "call-ended": (Budget(1, 1, 0), Budget(1, 0, 0)),
    "call-taken-back": (Budget(1, 1, 0), Budget(1, 0, 0)),
    "calls-cross": (Budget(1, 1, 0), Budget(0, 0, 0)),
    "registry-kept": (Budget(1, 1, 0), Budget(1, 0, 0)),
    "registry-left": (Budget(1, 1, 1), Budget(1, 1, 0)),
    "registry-taken-over": (Budget(1, 1, 1), Budget(1, 1, 0)),
    "group-joined": (Budget(0, 1, 0), Budget(0, 1, 0)),
    "group-left": (Budget(1, 0, 0), Budget(1, 0, 0)),
}

TIGHT = {"call": 2, "group-coming": 2, "call-cancelled": 2}
"""How many datagrams are in flight at most in the cuts of the largest stories."""

PINNED: dict[str, tuple[int, int]] = {
    "registry-taken-over": (321_117, 664_887),
    "call-accepted": (330_367, 674_036),
    "stranger": (164_380, 604_723),
    "registry-left": (175_285, 370_100),
    "call-rejected": (34_116, 114_487),
    "registry-kept-late": (104_878, 200_778),
    "group": (28_176, 80_922),
    "registry-kept": (34_139, 71_718),
    "call-ended": (34_383, 68_737),
    "call-taken-back": (27_423, 52_035),
    "handshake": (7_843, 26_628),
    "fragments": (5_879, 26_156),
    "call": (107_076, 376_441),
    "group-left-late": (15_861, 24_173),
    "call-ended-late": (12_108, 21_888),
    "close": (7_224, 21_859),
    "group-joined-late": (14_216, 21_739),
    "calls-cross": (529_019, 1_333_258),
    "paused": (5_952, 19_212),
    "registry": (92_860, 301_638),
    "handshake-late": (5_164, 16_035),
    "group-left": (10_206, 15_895),
    "close-both": (33_858, 115_271),
    "registry-takeover": (94_659, 310_507),
    "call-taken-back-late": (8_612, 14_109),
    "group-left-repeated": (7_255, 11_873),
    "cookie-late": (1_850, 4_920),
    "fragments-late": (652, 1_259),
    "group-joined": (6_370, 10_389),
    "cookie": (65_692, 230_493),
    "crossed": (109_586, 369_863),
    "delivery": (30_510, 140_664),
    "both-ways": (18_079, 64_170),
    "batches": (20_862, 76_358),
    "abort": (18_382, 58_022),
    "close-forged": (17_283, 53_811),
    "call-crossed": (7_780, 13_555),
    "call-cancelled": (48_463, 158_773),
    "crossed-late": (27_466, 48_488),
    "group-coming": (43_224, 132_981),
    "delivery-late": (18_822, 54_515),
    "paused-late": (9_026, 18_495),
    "close-late": (38_945, 120_800),
    "abort-late": (11_489, 29_801),
    "close-both-late": (32_952, 97_630),
    "call-rejected-late": (22_643, 66_952),
    "group-repeated": (19_808, 63_222),
    "group-late": (20_892, 31_763),
    "calls-cross-late": (176_959, 395_548),
    "group-joined-lossy": (577_698, 3_230_623),
    "group-left-lossy": (271_569, 1_377_574),
}
"""States and transitions of all stories in full."""

CUTS: dict[str, tuple[int, int]] = {
    "registry-left": (10_222, 20_520),
    "registry-taken-over": (18_099, 35_441),
    "registry-kept": (4_490, 8_362),
    "call-accepted": (9_624, 18_417),
    "call-ended": (3_329, 6_012),
    "call-taken-back": (3_101, 5_241),
    "calls-cross": (1_868, 3_806),
    "group-joined": (6_370, 10_389),
    "group-left": (10_206, 15_895),
    "handshake": (1_090, 2_934),
    "cookie": (1_594, 3_911),
    "stranger": (16_383, 50_637),
    "crossed": (13_133, 35_979),
    "fragments": (975, 3_260),
    "both-ways": (1_266, 3_488),
    "paused": (346, 855),
    "delivery": (4_720, 18_922),
    "batches": (2_228, 6_778),
    "close": (1_340, 3_027),
    "close-both": (923, 2_387),
    "abort": (3_651, 8_673),
    "close-forged": (2_350, 6_711),
    "call-rejected": (954, 2_574),
    "call-cancelled": (1_798, 3_365),
    "call": (2_942, 6_060),
    "registry": (7_665, 21_355),
    "registry-takeover": (6_355, 17_851),
    "group": (2_002, 5_610),
    "group-coming": (14_759, 22_886),
    "handshake-late": (5_164, 16_035),
    "cookie-late": (1_850, 4_920),
    "fragments-late": (652, 1_259),
}
"""And of its cut. Crossed calls have none: they cross only in worlds with many steps."""


def make(name: str, *, cut: bool = False) -> Story:
    """Give a story in one of its sizes."""
    if name in LATE:
        base, budget, most = LATE[name]
        story = STORIES[base]()
        story.name = name  # type: ignore[misc]
        story.budget = budget
        story.most_in_flight = most or story.most_in_flight
        return story
    story = STORIES[name]()
    story.budget = SIZES[name][cut]
    if cut:
        story.most_in_flight = TIGHT.get(name, story.most_in_flight)
    return story


NAMES = [*STORIES, *LATE]
"""All that can be explored."""
