"""What depth.py must find, told to it as messages and records without any server."""
import argparse
import unittest
from collections import Counter

import depth


def checksum(bids):
    return sum(depth.level_checksum(b"B", depth.units(price), depth.units(quantity)) for price, quantity in bids) % 2**32


def message(kind, levels, sequence, bids, whole, previous=None, wrong=0):
    """A message after which the book has the bids `whole`."""
    fields = {"type": "depth", "instrument": "X", "kind": kind, "levels": levels, "sequence": sequence,
              "bids": bids, "asks": [], "checksum": checksum(whole) + wrong}
    return fields if previous is None else {**fields, "previous": previous}


A, B, GONE = ["1.5", "2"], ["1.25", "4"], ["1.5", "0"]
START = [message("snapshot", "full", 7, [A], [A]), message("snapshot", 10, 7, [A], [A])]


class Messages(unittest.TestCase):
    def follower(self):
        options = argparse.Namespace(instruments=["X"], seed=1, shown=None)
        return depth.Follower(["ws://nowhere"], ["X"], depth.Run(options))

    def test_what_is_right_is_taken_over(self):
        follower = self.follower()
        for told in START + [
            message("delta", "full", 8, [B], [A, B], previous=7),
            message("delta", 10, 8, [B], [A, B], previous=7),
            message("delta", 10, 9, [GONE], [B], previous=8),
            message("delta", "full", 9, [GONE], [B], previous=8),
            message("snapshot", "full", 12, [A], [A]),
        ]:
            follower.take(told)
        book = follower.books["X", "full"].report()
        self.assertEqual((book["sequence"], book["bids"]), (12, [[150_000_000, 200_000_000]]))
        self.assertEqual(follower.run.counts["windows_compared"], 3)
        self.assertFalse(follower.are_at({"X": 13}))
        follower.take(message("snapshot", 50, 12, [A], [A]))
        self.assertFalse(follower.are_at({"X": 12}), "the window of 10 is behind")
        follower.take(message("snapshot", 10, 12, [A], [A]))
        self.assertTrue(follower.are_at({"X": 12}))

    def test_each_wrong_message_is_found(self):
        for told, why in [
            (message("delta", "full", 8, [B], [A, B], previous=7, wrong=1), "checksum"),
            (message("snapshot", "full", 8, [B], [B], wrong=-1), "checksum"),
            (message("delta", "full", 9, [B], [A, B], previous=8), "a gap"),
            (message("delta", "full", 9, [B], [A, B], previous=7), "a gap"),
            (message("delta", 10, 9, [B], [A, B], previous=8), "a gap"),
            (message("delta", 50, 8, [B], [B], previous=7), "a gap"),
            (message("snapshot", "full", 6, [B], [B]), "goes back"),
            (message("snapshot", "full", 7, [B], [B]), "two different books"),
            (message("snapshot", 10, 7, [B], [B]), "the head of the book"),
            (message("snapshot", 10, 8, prices(11), prices(11)), "more levels"),
        ]:
            follower = self.follower()
            for first in START:
                follower.take(first)
            with self.assertRaisesRegex(depth.Wrong, why):
                follower.take(told)

    def test_a_window_that_is_told_before_the_whole_book_is_compared_after_it(self):
        follower = self.follower()
        for told in START + [message("delta", 10, 8, [B], [A, B], previous=7)]:
            follower.take(told)
        with self.assertRaisesRegex(depth.Wrong, "the head of the book"):
            follower.take(message("delta", "full", 8, [GONE], [], previous=7))


def prices(count):
    return [[str(price), "1"] for price in range(1, count + 1)]


def record(kind, sequence, bids, whole, part=0, parts=1):
    levels = [{"price": depth.units(price), "quantity": depth.units(quantity)} for price, quantity in bids]
    return {"kind": kind, "instrument": "X", "sequence": sequence, "part": part, "parts": parts, "bids": levels, "asks": [],
            "checksum": checksum(whole)}


class Records(unittest.TestCase):
    def test_a_late_reader_begins_with_the_first_snapshot_whose_part_0_it_has_seen(self):
        book, counts = depth.TopicBook(), Counter()
        for told, sequence in [
            (record("SNAPSHOT", 4, [B], [A, B], part=1, parts=2), None),
            (record("DELTA", 5, [GONE], [B]), None),
            (record("SNAPSHOT", 5, [], [B], part=0, parts=2), None),
            (record("SNAPSHOT", 5, [B], [B], part=1, parts=2), 5),
            (record("DELTA", 5, [GONE], [B]), 5),
            (record("DELTA", 6, [A], [A, B]), 6),
            (record("SNAPSHOT", 6, [A, B], [A, B]), 6),
        ]:
            book.take(told, counts)
            self.assertEqual(book.sequence, sequence, told)
        self.assertEqual((counts["snapshots"], counts["deltas"], counts["before_the_first_snapshot"]), (2, 1, 1))

    def test_each_wrong_record_is_found(self):
        for told, why in [
            (record("DELTA", 3, [B], [A, B]), "a gap"),
            (record("DELTA", 2, [B], [B]), "checksum"),
            (record("SNAPSHOT", 1, [B], [B]), "not what the changes made"),
            (record("SNAPSHOT", 2, [A], [A]), "not what the changes made"),
        ]:
            book = depth.TopicBook()
            book.take(record("DELTA", 1, [A], [A]), Counter())
            with self.assertRaisesRegex(depth.Wrong, why):
                book.take(told, Counter())


if __name__ == "__main__":
    unittest.main()
