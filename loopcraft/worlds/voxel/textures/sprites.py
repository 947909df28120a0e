"""Pixel art of the small plants as data: for each name, its colours and its rows of letters.

A letter is a texel, '.' is transparent; the last row is on the ground. The letters of `GREEN` and `GREYS`
mean the same in every sprite.
"""

from collections.abc import Mapping

GREEN: Mapping[str, str] = {"d": "2f5a1e", "g": "417a28", "l": "5d9a38"}
"""Stems and leaves: dark, middle, light."""

GREYS: Mapping[str, str] = {"0": "868686", "1": "9e9e9e", "2": "b4b4b4", "3": "cbcbcb", "4": "e2e2e2"}
"""Shades of the sprites that are tinted by a biome colour."""

SPRITES: Mapping[str, tuple[Mapping[str, str], str]] = {
    "dandelion": (
        {"y": "f7d92e", "Y": "fff08a", "o": "d9a516"},
        """
        ..yYy...
        .yYYyyo.
        .yyYyyo.
        ..yyoo..
        ...gd...
        ...gd...
        l..gd...
        lg.gd.l.
        .lggdlg.
        ..dggd..
        """,
    ),
    "poppy": (
        {"r": "d6281e", "R": "f2503f", "m": "9c1510", "k": "2a1414"},
        """
        ..RRr...
        .RRrrrm.
        RRrkkrrm
        rrrkkrmm
        .rmrrmm.
        ..mmmm..
        ...gd...
        ...gd...
        .l.gd...
        .lggd.l.
        ..dgdlg.
        ...ggd..
        """,
    ),
    "cornflower": (
        {"b": "4169d6", "B": "7596f2", "n": "2c479c", "v": "5a3fa8"},
        """
        .B.b.b..
        BbBbbn.b
        .Bbvbbbn
        bbvvvbn.
        .bnvnbn.
        ..nnnn..
        ...gd...
        ...gd...
        ...gd.l.
        .l.gdlg.
        .lggdd..
        ..dgd...
        ...gd...
        """,
    ),
    "daisy": (
        {"w": "f4f4f0", "W": "ffffff", "s": "c9cbd2", "y": "f2c42c", "o": "d79a1c"},
        """
        ..WW.W..
        .WWwwWw.
        Wwyyyws.
        WWyyowws
        .wsoosw.
        .swwsws.
        ..ss.s..
        ...gd...
        ...gd...
        .lggd...
        ..dgdgl.
        ...gdd..
        ...gd...
        """,
    ),
    "tulip_pink": (
        {"p": "f08fb4", "P": "fbc0d6", "q": "cf5f8c"},
        """
        P.Pp.q
        PpPppq
        PPpppq
        PPppqq
        .Pppq.
        ..qq..
        ..gd..
        l.gd..
        lggd.l
        lggd.l
        .lgdgl
        .dgdg.
        ..gd..
        """,
    ),
    "allium": (
        {"a": "b86ae0", "A": "d9a2f5", "u": "8a42b4"},
        """
        ..AAa...
        .AaAaau.
        AaAaauau
        aAaauaau
        Aauauauu
        .auauuu.
        ..uuuu..
        ...gd...
        ...gd...
        ...gd...
        ...gd...
        .l.gd...
        .lggd.l.
        ..dgdlg.
        ...ggd..
        """,
    ),
    "blue_orchid": (
        {"c": "38b4ee", "C": "8fdcfa", "t": "1c7fc0", "w": "eafaff"},
        """
        ...Cc....
        ..CwcCc..
        ..ccCwct.
        .Cc.tcct.
        CwcttgCc.
        ccct.gcwC
        .tt.ggtcc
        ....g.tt.
        ...gd....
        ...gd....
        l..gd..l.
        lg.gd.lg.
        .lggdlg..
        ..dggd...
        """,
    ),
    "mushroom_red": (
        {"r": "cc2420", "R": "e8473c", "m": "8f1513", "w": "f4ece2", "s": "d8cdb8", "h": "b5a68c"},
        """
        ..RRww..
        .RRrwwr.
        wRrrrrrm
        wwrrrwwm
        rrrwrwwm
        mmmmmmmm
        ..wssh..
        ...ssh..
        ...ssh..
        ..wssh..
        """,
    ),
    "mushroom_brown": (
        {"b": "a47a58", "B": "c29a74", "n": "7c5840", "w": "f0e8da", "s": "d8cdb8", "h": "b5a68c"},
        """
        ..BBBbbb..
        BBBBbbbbbn
        Bbbbbbbbnn
        nnnnnnnnnn
        ...wssh...
        ....sh....
        ....sh....
        ...wssh...
        """,
    ),
    "dead_bush": (
        {"b": "8a6234", "B": "a87d48", "n": "664523"},
        """
        .B......b...
        .b..B....b.B
        ..b.b...b.b.
        ..bb...b..b.
        B..b.b.b.n..
        .b.nb..nb..B
        ..bn.b.n..b.
        ...nnb.n.n..
        .B...nnbn...
        ..bb..nn....
        ....nnnn....
        .....bn.....
        .....bn.....
        """,
    ),
    "sapling": (
        {"t": "6b4c2a", "T": "86643a"},
        """
        .....lg.....
        ...l.llgg...
        ..llglgggd..
        ..lggg.ggl..
        .l.gdglgdllg
        llgg.lggd.gd
        .lggdTgdlgg.
        ..gd.Tt.ggd.
        l..gTTtgd..l
        lgg..Tt..lgg
        .gddgTtgggd.
        ..dd.Ttdgd..
        .....Tt.....
        .....Tt.....
        ....TTtt....
        """,
    ),
    "torch": (
        {"f": "fff6b0", "F": "ffd23c", "o": "f08a1a", "t": "8a6636", "T": "6c4d26", "D": "533a1c"},
        """
        ff
        fF
        Fo
        tT
        tT
        tT
        tT
        tD
        tD
        TD
        """,
    ),
}
