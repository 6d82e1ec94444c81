from gpu_worker.slots import Slots


def test_slots_know_for_how_long_none_has_been_free():
    now = [0.0]
    freed = []
    slots = Slots(2, lambda: freed.append(slots.free), clock=lambda: now[0])
    slots.take(1)
    now[0] = 5
    assert (slots.free, slots.full_seconds) == (1, 0.0)
    slots.take(1)
    now[0] = 8
    assert (slots.free, slots.full_seconds) == (0, 3.0)
    slots.give_back()
    assert (slots.free, slots.full_seconds, freed) == (1, 0.0, [1])


def test_a_delivery_of_several_attempts_may_take_more_slots_than_there_are():
    slots = Slots(1, lambda: None)
    slots.take(3)
    slots.give_back()
    assert slots.free == -1
    slots.give_back()
    slots.give_back()
    assert slots.free == 1
