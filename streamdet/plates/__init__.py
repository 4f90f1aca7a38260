"""Number plates: straightened, read character by character, and voted on over a track.

rectify    four corners → the crop that a reader sees, and how good it is
kernels    components of the core map and what stands in each, compiled
decode     a reader's maps → characters with posteriors
reader     crops in, looks out, for an engine on any backend
alignment  two readings of one plate laid beside each other
ballot     evidence of one plate, look after look
grammar    what may stand where, by country
vote       the tracks of one stream: which crops are due, what each says, when it is settled
visit      one plate on one track: its ballot, its best look, the way it went
watch      plates that somebody waits for
privacy    a keyed hash in place of a text
"""
