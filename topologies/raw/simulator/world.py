"""The accounts of a simulated chain: mints, pools, users, validators, with what they hold.

Addresses of users are real ed25519 keys, their token accounts real associated token addresses;
pools, vaults and mints have random addresses. Everything follows from the seed.
"""

from __future__ import annotations

import random

import numpy as np
from numpy.typing import NDArray
from solders.keypair import Keypair
from solders.pubkey import Pubkey

from mevstream.topologies.raw.simulator import programs
from mevstream.topologies.raw.simulator.agents.rates import MevConfig
from mevstream.topologies.raw.simulator.config import SimulatorConfig
from mevstream.topologies.raw.simulator.loans import Lending
from mevstream.topologies.raw.simulator.market import Mint, Pool, set_bin, set_range
from mevstream.topologies.raw.simulator.programs import Venue

SOL = 1_000_000_000
RENT = 2_039_280
NO_TOKEN = 255
USDC_PER_SOL = 150
TABLE_SIZE = 256
TEMP_SEED = "mevstream-simulated-wrapped-sol"
N_WHALES = 8
# Raydium CPMM: rates of the fee, and of the protocol's and the fund's share of it, 1e-6. The usual
# shares, and others as forks have them.
CPMM_CONFIGS = ((2_500, 120_000, 40_000), (10_000, 120_000, 40_000), (20_000, 250_000, 50_000))
# Wallets of agents, per group: attackers, their other wallets, arbitrageurs, traders who get
# hurt, market makers, liquidity providers, liquidators.
ROLES = {"attacker": 6, "partner": 6, "bot": 8, "taker": 16, "maker": 3, "provider": 2,
         "liquidator": 2}  # fmt: skip

# Columns of a user: wallet, wrapped SOL, wrapped SOL by seed, USDC, then the group's mints.
COLUMN_WALLET, COLUMN_WSOL, COLUMN_TEMP, COLUMN_USDC, COLUMN_MINTS = range(5)
PERSISTENT, NATIVE = 0, 1


def user(column: int) -> int:
    """Account number of a column of the user."""
    return -1 - column


def other(column: int) -> int:
    """Account number of a column of the other user."""
    return -1 - (64 + column)


def validator(column: int) -> int:
    """Account number of the validator's identity (0), vote account (1), voting authority (2)."""
    return -1 - (128 + column)


# What some agents' wallets have besides: a liquidity position, share tokens of lending reserves,
# accounts with marginfi and Drift.
SHARES = ("kamino_sol", "kamino_usdc", "save_sol", "save_usdc")
AGENT_COLUMNS = ("position", "position_mint", "position_token", *SHARES, "margin", "drift_user",
                 "drift_stats")  # fmt: skip


class World:
    """All accounts of one chain. Arrays are indexed by account number."""

    def __init__(self, config: SimulatorConfig) -> None:
        self.config = config
        self.random = random.Random(f"world {config.seed}")  # noqa: S311 - repeatable on purpose
        self._keys = bytearray()
        self._lamports: list[int] = []
        self._amounts: list[int] = []
        self._decimals: list[int] = []
        self._native: list[int] = []
        self.texts: list[tuple[bytes, bytes]] = []
        self._names: dict[int, str] = {}
        self._table_keys: dict[int, bytes] = {}
        self._program_accounts: dict[int, int] = {}
        self.pools: list[Pool] = []
        # Columns that hold no tokens, or none that transactions show.
        self._bare = {COLUMN_WALLET}
        if config.mev:
            self._bare |= {self.column(name) for name in AGENT_COLUMNS if name not in SHARES}
        # Accounts that stand for values which change with the slot.
        self.blockhash, self.bank_hash, self.block_id = (self.account(bytes(32)) for _ in range(3))
        self._first_tabled = len(self._lamports)
        fixed = (*programs.FIXED, *(programs.AGENTS_FIXED if config.mev else ()))
        self.fixed = {a: self.account(programs.key(a), SOL) for a in fixed}
        self.tip_accounts = [self.account(programs.key(a), 5 * SOL) for a in programs.TIP_ACCOUNTS]
        self.wsol = self.mint(programs.WSOL, 9, COLUMN_WSOL, -1, 1.0)
        # One micro-USDC in lamports.
        self.usdc = self.mint(programs.USDC, 6, COLUMN_USDC, -1, SOL / (USDC_PER_SOL * 1e6))
        self.bots = [self.account(self.random_key(), SOL) for _ in range(4)]
        self.jupiter_authority = self._jupiter_authority()
        self.pump_fee_recipient = self.account(self.random_key(), 100 * SOL)
        self.pump_swap_recipient = self.account(self.random_key(), 100 * SOL)
        self.pump_swap_recipient_wsol = self.token_account(
            self.random_key(), self.wsol, self.pump_swap_recipient, 50 * SOL
        )
        self.mints = self._make_mints()
        self._make_pools()
        for mint in (self.wsol, self.usdc, *self.mints):
            held = int(20 * SOL / mint.price)
            self._program_accounts[mint.account] = self.token_account(
                self.random_key(), mint, self.jupiter_authority, held
            )
        self.lending = Lending(self) if config.mev else None
        self._end_tabled = len(self._lamports)
        self.keypairs: list[Keypair] = []
        self.agents: dict[str, list[list[int]]] = {}
        self.users = self._make_users()
        self.user_lists = self._group_users()
        self.validators = self._make_validators()

    # -- accounts --------------------------------------------------------------------------------

    def account(self, key: bytes, lamports: int = SOL // 1000) -> int:
        """A new account that holds no tokens."""
        self._keys += key
        self._lamports.append(lamports)
        self._amounts.append(0)
        self._decimals.append(NO_TOKEN)
        self._native.append(0)
        self.texts.append((b"", b""))
        return len(self._lamports) - 1

    def token_account(
        self, key: bytes, mint: Mint, owner: int, amount: int, *, exists: bool = True
    ) -> int:
        """A new token account; wrapped SOL holds its amount in lamports too."""
        native = mint.address == programs.WSOL
        number = self.account(key, RENT + (amount if native else 0) if exists else 0)
        self._amounts[number] = amount if exists else 0
        self._decimals[number] = mint.decimals
        self._native[number] = int(native)
        owner_name = self.name(owner).encode()
        program = mint.program.encode()
        self.texts[number] = (
            b"\x12" + bytes([len(mint.address)]) + mint.address.encode(),
            b"\x22" + bytes([len(owner_name)]) + owner_name
            + b"\x2a" + bytes([len(program)]) + program,
        )  # fmt: skip
        return number

    def column(self, name: str) -> int:
        """Column of an account that only some agents have."""
        return COLUMN_MINTS + self.config.mints_per_group + AGENT_COLUMNS.index(name)

    def key(self, account: int) -> bytes:
        """32 bytes of an account of the world."""
        return bytes(self._keys[32 * account : 32 * account + 32])

    def name(self, account: int) -> str:
        """Base58 address of an account of the world."""
        if account not in self._names:
            self._names[account] = str(Pubkey.from_bytes(self.key(account)))
        return self._names[account]

    def is_token_account(self, account: int) -> bool:
        """Whether an account (or a party's column) holds tokens."""
        if account < 0:
            code = -1 - account
            return code < 128 and code % 64 not in self._bare
        return self._decimals[account] != NO_TOKEN

    def in_table(self, account: int) -> bool:
        """Whether a lookup table has the account."""
        if self.config.mev and account in self.tip_accounts:
            # A bundle's tip account has to stand in the message itself.
            return False
        return self._first_tabled <= account < self._end_tabled

    def table_entry(self, account: int) -> tuple[int, int]:
        """(table, index in it) of an account for which `in_table` is true."""
        return divmod(account, TABLE_SIZE)

    def table_key(self, table: int) -> bytes:
        """Address of a lookup table."""
        if table not in self._table_keys:
            source = random.Random(f"table {self.config.seed} {table}")  # noqa: S311 - repeatable on purpose
            self._table_keys[table] = source.randbytes(32)
        return self._table_keys[table]

    def program_account(self, mint: Mint) -> int:
        """Jupiter's own token account of a mint."""
        return self._program_accounts[mint.account]

    def arrays(
        self,
    ) -> tuple[
        NDArray[np.uint8], NDArray[np.uint64], NDArray[np.uint64], NDArray[np.uint8],
        NDArray[np.uint8],
    ]:  # fmt: skip
        """(keys (n, 32), lamports, token amounts, decimals, native) of all accounts."""
        keys = np.frombuffer(bytes(self._keys), np.uint8).reshape(-1, 32).copy()
        return (
            keys,
            np.array(self._lamports, np.uint64),
            np.array(self._amounts, np.uint64),
            np.array(self._decimals, np.uint8),
            np.array(self._native, np.uint8),
        )

    def random_key(self) -> bytes:
        """An address."""
        return self.random.randbytes(32)

    def _jupiter_authority(self) -> int:
        program = Pubkey.from_string(programs.JUPITER)
        address, _ = Pubkey.find_program_address([b"authority", bytes([1])], program)
        return self.account(bytes(address), 10 * SOL)

    # -- mints and pools -------------------------------------------------------------------------

    def mint(
        self, address: str, decimals: int, column: int, group: int, price: float,
        program: str = programs.SPL, fee_bps: int = 0,
    ) -> Mint:  # fmt: skip
        """A new token; see Mint."""
        account = self.account(programs.key(address), 1_461_600)
        return Mint(account, address, decimals, program, fee_bps, column, group, price)

    def _make_mints(self) -> list[Mint]:
        config, mints = self.config, list[Mint]()
        plain = max(1, round((1 - config.token_2022_share) * config.mints_per_group))
        for group in range(config.user_groups):
            for i in range(config.mints_per_group):
                address = str(Pubkey.from_bytes(self.random_key()))
                # The last mints of a group carry a transfer fee.
                with_fee = i >= plain
                price = 10 ** self.random.uniform(-4.0, -0.5)
                mints.append(
                    self.mint(
                        address,
                        self.random.choice((6, 6, 6, 9, 5)),
                        COLUMN_MINTS + i,
                        group,
                        price,
                        programs.SPL_2022 if with_fee else programs.SPL,
                        self.random.choice((50, 100, 300, 500)) if with_fee else 0,
                    )
                )
        return mints

    def _make_pools(self) -> None:
        plain = [m for m in self.mints if m.fee_bps == 0]
        for venue in Venue:
            fees_allowed = venue in (Venue.RAYDIUM_CPMM, Venue.WHIRLPOOL)
            candidates = self.mints if fees_allowed else plain
            for i in range(self.config.pools_per_venue):
                pumped = venue in (Venue.PUMP_SWAP, Venue.PUMP_FUN)
                hub = self.usdc if i % 5 == 4 and not pumped else self.wsol
                self._add_pool(venue, self.random.choice(candidates), hub)
        venues = (Venue.RAYDIUM_V4, Venue.RAYDIUM_CLMM, Venue.WHIRLPOOL, Venue.DLMM)
        for i in range(self.config.hub_pools):
            self._add_pool(venues[i % len(venues)], self.wsol, self.usdc)

    def _add_pool(self, venue: Venue, token: Mint, hub: Mint) -> None:
        rng = self.random
        more = rng if self.config.mev else None
        account = self.account(self.random_key(), 6_124_800)
        by_order = venue in (Venue.RAYDIUM_CPMM, Venue.RAYDIUM_CLMM, Venue.WHIRLPOOL)
        swapped = by_order and self.key(hub.account) < self.key(token.account)
        mints = (hub, token) if swapped else (token, hub)
        hub_side = 0 if swapped else 1
        if venue is Venue.PUMP_FUN:
            self._add_curve(account, token, hub)
            return
        worth = 10 ** rng.uniform(2.0, 4.5) * SOL
        skew = rng.uniform(0.995, 1.005)
        reserves = tuple(int(worth / m.price * (skew if m is token else 1)) for m in mints)
        owner = {
            Venue.RAYDIUM_V4: self.fixed[programs.RAYDIUM_V4_AUTHORITY],
            Venue.RAYDIUM_CPMM: self.fixed[programs.RAYDIUM_CPMM_AUTHORITY],
        }.get(venue, account)
        vaults = tuple(
            self.token_account(self.random_key(), m, owner, amount)
            for m, amount in zip(mints, reserves, strict=True)
        )
        pool = Pool(
            venue, account, mints, (vaults[0], vaults[1]), hub_side, hub.address == programs.WSOL,
            anchor=(reserves[0], reserves[1]),
            transfer_fee_bps=(mints[0].fee_bps, mints[1].fee_bps),
        )  # fmt: skip
        if venue is Venue.RAYDIUM_CPMM:
            pool.fee_rate, pool.protocol_rate, pool.fund_rate = rng.choice(CPMM_CONFIGS)
        elif venue in (Venue.RAYDIUM_CLMM, Venue.WHIRLPOOL):
            pool.fee_rate = rng.choice((100, 500, 2500, 3000))
            pool.protocol_rate = 1200 if venue is Venue.RAYDIUM_CLMM else 1300
            set_range(pool, reserves[0], reserves[1], more)
        elif venue is Venue.DLMM:
            pool.fee_rate, pool.protocol_rate = rng.choice((1_000_000, 2_500_000)), 500
            set_bin(pool, reserves[0], reserves[1], more)
        elif venue is Venue.PUMP_SWAP:
            pool.lp_bps, pool.protocol_bps, pool.creator_bps = rng.choice(
                ((20, 5, 95), (20, 5, 60), (20, 5, 30), (2, 93, 30))
            )
        self._add_extras(pool)
        self.pools.append(pool)

    def _add_curve(self, account: int, token: Mint, hub: Mint) -> None:
        """A bonding curve some way up: virtual reserves from 30 SOL and 1.073e15 base units."""
        real_sol = int(self.random.uniform(5, 70) * SOL)
        virtual_sol = 30 * SOL + real_sol
        virtual_token = 30 * SOL * 1_073_000_000_000_000 // virtual_sol
        real_token = virtual_token - 279_900_000_000_000
        vault = self.token_account(self.random_key(), token, account, real_token + 206_900 * SOL)
        self._lamports[account] = 1_231_920 + real_sol
        pool = Pool(
            Venue.PUMP_FUN, account, (token, hub), (vault, account), 1, True,
            protocol_bps=95, creator_bps=30,
            real=(real_token, real_sol), virtual=(virtual_token, virtual_sol),
            anchor=(virtual_token, virtual_sol),
        )  # fmt: skip
        self._add_extras(pool)
        self.pools.append(pool)

    def _add_extras(self, pool: Pool) -> None:
        names: dict[Venue, tuple[str, ...]] = {
            Venue.RAYDIUM_V4: (
                "open_orders", "target_orders", "market", "bids", "asks", "event_queue",
                "market_base", "market_quote", "market_signer",
            ),
            Venue.RAYDIUM_CPMM: ("config", "observation"),
            Venue.RAYDIUM_CLMM: ("config", "observation", "bitmap", "ticks_0", "ticks_1"),
            Venue.WHIRLPOOL: ("oracle", "ticks_0", "ticks_1", "ticks_2"),
            Venue.DLMM: ("oracle", "bins_0", "bins_1"),
            Venue.PUMP_SWAP: ("creator_authority", "volume", "user_volume", "fee_config", "creator",
                              "pool_v2", "buyback"),
            Venue.PUMP_FUN: ("creator_vault", "volume", "user_volume", "fee_config", "creator",
                             "curve_v2", "buyback"),
        }  # fmt: skip
        for name in names[pool.venue]:
            pool.own[name] = self.account(self.random_key(), 20_000_000)
        if pool.venue is Venue.PUMP_SWAP:
            pool.own["creator_wsol"] = self.token_account(
                self.random_key(), self.wsol, pool.own["creator_authority"], SOL
            )
            pool.own["buyback_wsol"] = self.token_account(
                self.random_key(), self.wsol, pool.own["buyback"], SOL
            )

    # -- people ----------------------------------------------------------------------------------

    def _associated(self, owner: Pubkey, mint: Mint) -> bytes:
        address, _ = Pubkey.find_program_address(
            [
                bytes(owner),
                bytes(Pubkey.from_string(mint.program)),
                self.key(mint.account),
            ],
            Pubkey.from_string(programs.ASSOCIATED),
        )
        return bytes(address)

    def _make_users(self) -> NDArray[np.int32]:
        config, rng = self.config, self.random
        by_group = [[m for m in self.mints if m.group == g] for g in range(config.user_groups)]
        token = Pubkey.from_string(programs.SPL)
        n = config.users + (self._hire(config.mev) if config.mev else 0)
        more = len(AGENT_COLUMNS) if config.mev else 0
        table = np.zeros((n, COLUMN_MINTS + config.mints_per_group + more), np.int32)
        for i in range(n):
            pair = Keypair.from_seed(rng.randbytes(32))
            self.keypairs.append(pair)
            owner = pair.pubkey()
            whale, agent = i < N_WHALES, i >= config.users
            wallet = self.account(
                bytes(owner),
                int((2_000_000 if whale or agent else 10 ** rng.uniform(0.5, 3)) * SOL),
            )
            rich = 40_000 * SOL if agent else 10 ** rng.uniform(1, 3) * SOL
            table[i, COLUMN_WALLET] = wallet
            table[i, COLUMN_WSOL] = self.token_account(
                self._associated(owner, self.wsol), self.wsol, wallet, int(rich),
                exists=self.user_class(i) == PERSISTENT,
            )  # fmt: skip
            temporary = Pubkey.create_with_seed(owner, TEMP_SEED, token)
            table[i, COLUMN_TEMP] = self.token_account(
                bytes(temporary), self.wsol, wallet, 0, exists=False
            )
            table[i, COLUMN_USDC] = self.token_account(
                self._associated(owner, self.usdc), self.usdc, wallet, int(rich / self.usdc.price)
            )
            for mint in by_group[i % config.user_groups]:
                held = (20_000 if agent else 10 ** rng.uniform(0, 2)) * SOL / mint.price
                table[i, mint.column] = self.token_account(
                    self._associated(owner, mint), mint, wallet, int(held)
                )
        for user in (u for users in self.agents.get("provider", ()) for u in users):
            self._add_position(table[user])
        for user in (u for users in self.agents.get("liquidator", ()) for u in users):
            self._add_lending(table[user])
        return table

    def _add_position(self, row: NDArray[np.int32]) -> None:
        """A position, the token that stands for it, that token's account: none exists yet."""
        pair = Keypair.from_seed(self.random.randbytes(32))
        self.keypairs.append(pair)
        mint, owner = pair.pubkey(), Pubkey.from_bytes(self.key(int(row[COLUMN_WALLET])))
        seeds = [bytes(owner), programs.key(programs.SPL_2022), bytes(mint)]
        position, _ = Pubkey.find_program_address(
            [b"position", bytes(mint)], Pubkey.from_string(programs.WHIRLPOOL)
        )
        token, _ = Pubkey.find_program_address(seeds, Pubkey.from_string(programs.ASSOCIATED))
        for name, key in (
            ("position", position),
            ("position_mint", mint),
            ("position_token", token),
        ):
            row[self.column(name)] = self.account(bytes(key), 0)

    def _add_lending(self, row: NDArray[np.int32]) -> None:
        """Accounts of a liquidator with the lending programs."""
        if self.lending is None:
            return
        wallet = int(row[COLUMN_WALLET])
        owner = Pubkey.from_bytes(self.key(wallet))
        for name in AGENT_COLUMNS[3:]:
            share = self.lending.shares.get(name)
            row[self.column(name)] = (
                self.account(self.random_key(), 20_000_000)
                if share is None
                else self.token_account(self._associated(owner, share), share, wallet, 0)
            )

    def _hire(self, mev: MevConfig) -> int:
        """Gives the agents' roles to users behind the ordinary ones; returns how many."""
        number, groups = self.config.users, self.config.user_groups
        for role, count in (*ROLES.items(), ("fleet", mev.fleet)):
            lists: list[list[int]] = [[] for _ in range(groups)]
            for _ in range(count * groups):
                lists[number % groups].append(number)
                number += 1
            self.agents[role] = lists
        return number - self.config.users

    def user_class(self, number: int) -> int:
        """PERSISTENT users keep a wrapped SOL account, NATIVE ones make it when needed."""
        if number >= self.config.users:
            return PERSISTENT
        return number // self.config.user_groups % 2

    def _group_users(self) -> list[list[int]]:
        lists: list[list[int]] = [[] for _ in range(2 * self.config.user_groups)]
        for i in range(N_WHALES, self.config.users):
            lists[2 * (i % self.config.user_groups) + self.user_class(i)].append(i)
        return lists

    def _make_validators(self) -> NDArray[np.int32]:
        table = np.zeros((self.config.validators, 3), np.int32)
        for i in range(self.config.validators):
            pair = Keypair.from_seed(self.random.randbytes(32))
            voter = Keypair.from_seed(self.random.randbytes(32))
            self.keypairs += (pair, voter)
            table[i, 0] = self.account(bytes(pair.pubkey()), 50_000 * SOL)
            table[i, 1] = self.account(self.random_key(), 27_074_400)
            table[i, 2] = self.account(bytes(voter.pubkey()), SOL)
        return table
