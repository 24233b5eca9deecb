from benchmarks.chaos.machine import WayOfAMessage, profile
TestWay = WayOfAMessage.TestCase
TestWay.settings = profile(4)
