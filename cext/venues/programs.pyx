"""Programs that are no venue: the runtime's own, routers, and those whose two-sided transfers look
like a swap and are none.
"""

from mevstream.cext.model cimport (
    COMPUTE_BUDGET, EVENT_LOG, EVENT_SELF_CPI, LEAF, OTHER, ROUTER, SYSTEM, TOKEN, TOKEN_2022, VOTE,
    Program,
)
from mevstream.cext.registry cimport add_program

for _name, _address, _kind in (
    ("token", "TokenkegQfeZyiNwAJbNbGKPFXCWuBvf9Ss623VQ5DA", TOKEN),
    ("token_2022", "TokenzQdBNbLqP5VEhdkAS6EPFLC1PHnBqCXEpPxuEb", TOKEN_2022),
    ("system", "11111111111111111111111111111111", SYSTEM),
    ("compute_budget", "ComputeBudget111111111111111111111111111111", COMPUTE_BUDGET),
    ("vote", "Vote111111111111111111111111111111111111111", VOTE),
    ("associated_token", "ATokenGPvbdGVxr1b2hvZbsiqW5xWH25efTNsLJA8knL", LEAF),
    ("memo", "MemoSq4gqABAXKb96qnH8TysNcWxMyWCqXgDLGmfcHr", LEAF),
    ("memo_v1", "Memo1UhkJRfHyvLMcVucJwxXeuD728EqVDDwQDxFMNo", LEAF),
    ("lookup_table", "AddressLookupTab1e1111111111111111111111111", LEAF),
    ("pump_fees", "pfeeUxB6jkeY1Hxd7CsFCAjcbHA9rWtchMGdZ6VojVZ", LEAF),
):
    add_program(_name, _address, _kind)

# Routers and trading terminals: they call venues. With the transport of their swap events.
cdef Program* _row
for _name, _address, _transport in (
    ("jupiter_v6", "JUP6LkbZbjS1jKKwapdHNy74zcZ3tLUZoi5QNyVTaV4", EVENT_SELF_CPI),
    ("jupiter_v5", "JUP5pEAZeHdHrLxh5UCwAbpjGwYKKoquCpda2hfP4u8", 0),
    ("jupiter_v4", "JUP4Fb2cqiRUcaTHdrPC8h2gNsA2ETXiPDD33WcGuJB", EVENT_LOG),
    ("jupiter_v3", "JUP3c2Uh3WA4Ng34tw6kPd2G4C5BB21Xo36Je1s32Ph", 0),
    ("jupiter_v2", "JUP2jxvXaqu7NQY1GmNF4m1vodw12LVXYxbFL2uJvfo", 0),
    ("okx_dex", "6m2CDdhRgxpH4WjvdzxAYbGxwdGUz5MziiL5jek2kBma", EVENT_LOG),
    ("okx_dex_v2", "proVF4pMXVaYqmy4NjniPh4pqKNfMmsihgd4wdkCX3u", EVENT_SELF_CPI),
    ("okx_dex_v3", "va1t8sdGkReA6XFgAeZGXmdQoiEtMirwy4ifLv7yGdH", 0),
    ("okx_labs", "Ag3hiK9svNixH9Vu5sD2CmK5fyDWrx9a1iVSbZW22bUS", 0),
    ("dflow", "DF1ow4tspfHX9JwWJsAb9epbkA8hmpSEAtxXy1V27QBH", EVENT_SELF_CPI),
    ("titan", "T1TANpTeScyeqVzzgNViGDNrkQ6qHz9KrSBS4aNXvGT", 0),
    ("raydium_router", "routeUGWgWzqBWFcrCfv8tritsqukccJPu3q5GPP3xS", 0),
    ("liquid_mesh", "HuTkmnrv4zPnArMqpbMbFhfwzTR7xfWQZHH1aQKzDKFZ", EVENT_LOG),
    ("sanctum_router", "stkitrT1Uoy18Dk1fTrgPw8W6MVzoCfYoAFT4MLsmhq", 0),
    ("bitget", "s7SunwrPG5SbViEKiViaDThPRJxkkTrNx2iRPN3exNC", 0),
    ("bitget", "2UUgGySTVXmKFatH7pGQo84ZrzdSYF5zw9iqrGwBMuuj", 0),
    ("swissborg", "MEXkeo4BPUCZuEJ4idUUwMPu4qvc9nkqtLn3yAyZLxg", 0),
    ("spur", "SPURp82qAR9nvzy8j1gP31zmzGytrgDBKcpGzeGkka8", 0),
    ("zerox", "Sett1erwx2eqT5A8uvu8GBxDFT2W5TNnhirL7hLmb8m", 0),
    ("bungee", "bung5E8oYryGA7d2ivgoe1spoZRS88cvcwoK23TtExg", 0),
    ("magpie", "2DAtv2URAcb9ZHVMHEB8E3TFBTk9PoNSYknjq8DVr69c", 0),
    ("hawkfi", "FqGg2Y1FNxMiGd51Q6UETixQWkF5fB92MysbYogRJb3P", 0),
    ("one_sol", "1MooN32fuBBgApc8ujknKJw5sef3BVwPGgz3pto1BAh", 0),
    ("photon", "BSfD6SHZigAfDWSjzD5Q41jw8LmKwtmjskPH9XW1mrRW", 0),
    ("photon", "HAAoKJrdTktFs7zcBkpvw9ebPdu4L7Wx1CDx2waia6hD", 0),
    ("axiom", "FLASHX8DrLbgeR8FcfNV1F5krxYcYMUdBkrP1EPBtxB9", 0),
    ("axiom", "AxiomfHaWDemCFBLBayqnEnNwE6b7B2Qz3UmzMpgbMG6", 0),
    ("axiom", "AxiomxSitiyXyPjKgJ9XSrdhsydtZsskZTEDam3PxKcC", 0),
    ("axiom", "BLUR9cL8HqZzu5bSaC7VRX25RCG93Hv3T6NPyKxQhWUT", 0),
    ("bloom", "b1oomGGqPKGD6errbyfbVMBuzSC8WtAAYo8MwNafWW1", 0),
    ("nova", "NoVA1TmDUqksaj2hB1nayFkPysjJbFiU76dT4qPw2wm", 0),
    ("mintech", "minTcHYRLVPubRK8nt6sqe2ZpWrGDLQoNLipDJCGocY", 0),
    ("maestro", "MaestroAAe9ge5HTc64VbBQZ6fP77pwvrhM8i1XWSAx", 0),
    ("banana_gun", "BANANAjs7FJiPQqJTGFzkZJndT9o7UmKiYYGaJz6frGu", 0),
    ("apepro", "JSW99DKmxNyREQM14SQLDykeBvEUG63TeohrvmofEiw", 0),
    ("trojan", "troyXT7Ty3s2rjJe4bqWaroUrS4Fjd8rbHHNHxcACF4", 0),
    ("gmgn", "GMgnVFR8Jb39LoXsEVzb3DvBy3ywCmdmJquHUy1Lrkqb", 0),
    ("gmgn", "GMGNreQcJFufBiCTLDBgKhYEfEe9B454UjpDr5CaSLA1", 0),
    ("padre", "term9YPb9mzAsABaqN71A4xdbxHmpBNZavpBiQKZzN3", 0),
    ("padre", "9Fox6i7oT8p4qHn76Qj3dks8RRMGsXQyfMSBScA5yVyX", 0),
    ("nina", "NinafKYvKDCH26v6uEpfDjyuDjjpbdfhiPjrJV6FTFs", 0),
    ("pump_mayhem", "MAyhSmzXzV1pTf7LsNkrNwkWKTo4ougAJ1PPg47MD4e", 0),
    ("boobs", "BoobsBSMpFRBA91sNwKLYShRRQPH5GjoCH4NhLUt4yRo", 0),
):
    _row = add_program(_name, _address, ROUTER)
    _row.transport = _transport

# Lending (but for those whose liquidations are decoded: lending.pyx), margin, vaults, escrows, settlement, claims, stake pools, collectibles: what goes in and
# what comes out are two mints, and yet nobody traded with a pool.
for _name, _address in (
    ("jupiter_lend_liquidity", "jupeiUmn818Jg1ekPURTpr4mFo29p46vygyykFJ3wZC"),
    ("jupiter_lend", "jup3YeL8QhtSx1e253b2FDvsMNC87fDrgQZivbrndc9"),
    ("jupiter_flashloan", "jupgfSgfuAXv4B6R2Uxu85Z1qdzgju79s6MfZekN6XS"),
    ("port_finance", "Port7uDYB3wk6GJAw4KT1WpTeMtSu9bTcChBHkX2LfR"),
    ("port_variable", "LendZqTs8gn5CTSJU1jWKhKuVpjJGom45nnwPb2AMTi"),
    ("mango_v4", "4MangoMjqJ2firMokCjjGgoK8d4MXcrgL7XJaL3w6fVg"),
    ("zeta", "ZETAxsqBRek56DhiGXrn75yj2NHU3aYUnxvHXpkf3aD"),
    ("flash_trade", "FLASH6Lo6h3iasJKWDs2F8TkW2UKf3s15C8PMGuVfgBn"),
    ("kamino_farms", "FarmsPZpWu9i7Kky8tPN37rs2TpmMrAZrC7S7vJa91Hr"),
    ("kamino_vault", "kvauTFR8qm1dhniz6pYuBZkuene3Hfrs1VQhVRgCNrr"),
    ("kamino_liquidity", "6LtLpnUFNByNXLyCoK9wA2MykKAmQNZKBdY8s47dehDc"),
    ("voltr_vault", "vVoLTRjQmtFpiYoegx285Ze4gsLJ8ZxgFKVcuvmG1a8"),
    ("voltr_adaptor", "to6Eti9CsC5FGkAtqiPphvKD2hiQiLsS8zWiDBqBPKR"),
    ("meteora_vault", "24Uqj9JCLxUeoC3hGfh5W3s9FM9uCHDS2SG3LYwBpyTi"),
    ("stabble_vault", "vo1tWgqZMjG61Z2T9qUaMYKqZ75CYzMuaZ2LZP1n7HV"),
    ("saber_decimals", "DecZY86MU5Gj7kppfUCEmd4LbXXuyZH1yHaP2NTqdiZB"),
    ("raydium_lock", "LockrWmn6K5twhz3y9w1dQERbmgSaRkfnTeTKbpofwE"),
    ("jupiter_lock", "LocpQgucEQHbqNABEYvBvwoxCPsSbG91A1QaQhQQqjn"),
    ("streamflow", "strmRqUCoQUgGUan5YhzUZa6KqdzwX5L6FpUxfmKg5m"),
    ("print_claims", "T8HsGYv7sMk3kTnyaRqZrbRPuntYzdh12evXBkprint"),
    ("jupiter_dca", "DCA265Vj8a9CEuX1eb1LWRnDT7uK6q1xMipnNyatn23M"),
    ("jupiter_value_average", "VALaaymxQh2mNy2trH9jUqHT1mTow76wpTcGmSWSwJe"),
    ("jupiter_limit_v2", "j1o2qRpjcyUwEvwtcfhEQefh773ZgjxcVRry7LDqg5X"),
    ("jupiter_limit", "jupoNjAxXgZ4rjzxzPMP4oxduvQsQtZzyknqvzYNrNu"),
    ("jupiter_rfq_v2", "fd3nMFYTQjX1yr5ER8u7tPdHJB7qt8RpDpNtLQX2Br5"),
    ("titan_limit", "TitanLozLMhczcwrioEguG2aAmiATAPXdYpBg3DbeKK"),
    ("kamino_limo", "LiMoM9rMhrdYrfzUCxQppvxCSG1FcrUK9G8uLq4A1GF"),
    ("openbook_v1", "srmqPvymJeFKQ4zGQed1GFppgkRHL9kaELCbyksJtPX"),
    ("serum_v3", "9xQeWvG816bUx9EPjHmaT23yvVM2ZWbrrpZb9PusVFin"),
    ("phoenix_seats", "VuA5vNSEy7MxJeRyd5aYsSMwuJ935sq4dQufV9ugaaz"),
    ("stake_pool", "SPoo1Ku8WFXoNDMHPsrGSTSG1Y47rzgn41SLUNakuHy"),
    ("sanctum_stake_pool", "SP12tWFxD9oJsVWNavTTBZvMbA6gkAmxtVgxdqvyvhY"),
    ("sanctum_stake_pool_many", "SPMBzsVUuoHA4Jm6KunbsotaahvVikZs1JyTW6iJvbn"),
    ("marinade", "MarBmsSgKXdrN1egZf5sqe1TMai9K1rChYNDJgjq7aD"),
    ("magic_eden_amm", "mmm3XBJg5gk8XJxEKBvdgptZz6SgK4tXvn36sodowMc"),
    ("magic_eden_v2", "M2mx93ekt1fmXSVkTrUL9xVFHkmME8HTUi5Cyc5aF7K"),
    ("tensor_swap", "TSWAPaqyCSx2KABk68Shruf4rp7CxcNi8hAsbdwmHbN"),
    ("tensor_compressed", "TCMPhJdwDryooaGtiocG1u3xcYbRpiJzb283XfCZsDp"),
    ("helium_treasury", "treaf4wWBBty3fHdyBpo35Mz84M8k3heKXmjmi9vFt5"),
    ("jito_tips", "T1pyyaTNZsKv2WcRAB8oVnk93mLJw2XzjtVYqCsaHqt"),
):
    add_program(_name, _address, OTHER)
