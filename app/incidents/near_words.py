"""Says in both languages what a device's look saw near it while no anchor answered. Pure."""

from app.core.words import Bilingual, in_words
from app.measurements.near import Near


def near_words(near: Near) -> Bilingual:
    """Return what answered and what did not, from the device outwards."""
    if near.carrier is False and (near.lan or near.terminal):
        return in_words("something near it answered although its interface had no signal: that contradicts itself")
    if near.carrier is False:
        return in_words("its interface had no signal: the cable was out, or what it leads to had no power")
    if near.lan and near.terminal:
        return in_words("gateway and terminal answered, nothing beyond them did")
    if near.terminal:
        return in_words("the terminal answered, nothing beyond it did")
    if near.lan and near.terminal is False:
        return in_words("the gateway answered, the terminal did not")
    if near.lan:
        return in_words("the gateway answered, nothing beyond it did")
    if near.lan is False:
        return in_words("the gateway did not answer")
    if near.terminal is False:
        return in_words("the terminal did not answer")
    return in_words("its interface had a signal, nothing answered")
