"""TransactionError from its JSON form to the bincode bytes that stored transactions carry.

Variants are numbered in order of declaration. Sources: anza-xyz/solana-sdk, crates
transaction-error and instruction-error; bincode: variant u32, integers little-endian.
"""

from collections.abc import Mapping
from typing import cast

_TRANSACTION_ERRORS = (
    "AccountInUse",
    "AccountLoadedTwice",
    "AccountNotFound",
    "ProgramAccountNotFound",
    "InsufficientFundsForFee",
    "InvalidAccountForFee",
    "AlreadyProcessed",
    "BlockhashNotFound",
    "InstructionError",
    "CallChainTooDeep",
    "MissingSignatureForFee",
    "InvalidAccountIndex",
    "SignatureFailure",
    "InvalidProgramForExecution",
    "SanitizeFailure",
    "ClusterMaintenance",
    "AccountBorrowOutstanding",
    "WouldExceedMaxBlockCostLimit",
    "UnsupportedVersion",
    "InvalidWritableAccount",
    "WouldExceedMaxAccountCostLimit",
    "WouldExceedAccountDataBlockLimit",
    "TooManyAccountLocks",
    "AddressLookupTableNotFound",
    "InvalidAddressLookupTableOwner",
    "InvalidAddressLookupTableData",
    "InvalidAddressLookupTableIndex",
    "InvalidRentPayingAccount",
    "WouldExceedMaxVoteCostLimit",
    "WouldExceedAccountDataTotalLimit",
    "DuplicateInstruction",
    "InsufficientFundsForRent",
    "MaxLoadedAccountsDataSizeExceeded",
    "InvalidLoadedAccountsDataSizeLimit",
    "ResanitizationNeeded",
    "ProgramExecutionTemporarilyRestricted",
    "UnbalancedTransaction",
    "ProgramCacheHitMaxLimit",
    "CommitCancelled",
)

_INSTRUCTION_ERRORS = (
    "GenericError",
    "InvalidArgument",
    "InvalidInstructionData",
    "InvalidAccountData",
    "AccountDataTooSmall",
    "InsufficientFunds",
    "IncorrectProgramId",
    "MissingRequiredSignature",
    "AccountAlreadyInitialized",
    "UninitializedAccount",
    "UnbalancedInstruction",
    "ModifiedProgramId",
    "ExternalAccountLamportSpend",
    "ExternalAccountDataModified",
    "ReadonlyLamportChange",
    "ReadonlyDataModified",
    "DuplicateAccountIndex",
    "ExecutableModified",
    "RentEpochModified",
    "NotEnoughAccountKeys",
    "AccountDataSizeChanged",
    "AccountNotExecutable",
    "AccountBorrowFailed",
    "AccountBorrowOutstanding",
    "DuplicateAccountOutOfSync",
    "Custom",
    "InvalidError",
    "ExecutableDataModified",
    "ExecutableLamportChange",
    "ExecutableAccountNotRentExempt",
    "UnsupportedProgramId",
    "CallDepth",
    "MissingAccount",
    "ReentrancyNotAllowed",
    "MaxSeedLengthExceeded",
    "InvalidSeeds",
    "InvalidRealloc",
    "ComputationalBudgetExceeded",
    "PrivilegeEscalation",
    "ProgramEnvironmentSetupFailure",
    "ProgramFailedToComplete",
    "ProgramFailedToCompile",
    "Immutable",
    "IncorrectAuthority",
    "BorshIoError",
    "AccountNotRentExempt",
    "InvalidAccountOwner",
    "ArithmeticOverflow",
    "UnsupportedSysvar",
    "IllegalOwner",
    "MaxAccountsDataAllocationsExceeded",
    "MaxAccountsExceeded",
    "MaxInstructionTraceLengthExceeded",
    "BuiltinProgramsMustConsumeComputeUnits",
    "BailOut",
)

TRANSACTION_ERRORS: Mapping[str, int] = {name: i for i, name in enumerate(_TRANSACTION_ERRORS)}
INSTRUCTION_ERRORS: Mapping[str, int] = {name: i for i, name in enumerate(_INSTRUCTION_ERRORS)}

# A variant younger than these lists: the transaction failed, with no number to say why.
_UNKNOWN = b"\xff\xff\xff\xff"


def encode_error(error: object) -> bytes:
    """Bincode of `error`, as RPC's `meta.err` has it: a name, or an object of one name.

    A name that is not listed gives the variant 0xFFFFFFFF. Raises ValueError (KeyError, TypeError)
    where the value has no such shape.
    """
    name, content = _variant(error)
    number = TRANSACTION_ERRORS.get(name)
    if number is None:
        return _UNKNOWN
    encoded = number.to_bytes(4, "little")
    match name:
        case "InstructionError":
            index, inner = cast("tuple[int, object]", content)
            return encoded + _integer(index, 1) + _instruction_error(inner)
        case "DuplicateInstruction":
            return encoded + _integer(content, 1)
        case "InsufficientFundsForRent" | "ProgramExecutionTemporarilyRestricted":
            fields = cast("Mapping[str, object]", content)
            return encoded + _integer(fields["account_index"], 1)
        case _:
            return encoded


def _instruction_error(error: object) -> bytes:
    name, content = _variant(error)
    number = INSTRUCTION_ERRORS.get(name)
    if number is None:
        return _UNKNOWN
    # BorshIoError once came with a text; bincode has had none since the text left the type.
    encoded = number.to_bytes(4, "little")
    return encoded + _integer(content, 4) if name == "Custom" else encoded


def _variant(error: object) -> tuple[str, object]:
    if isinstance(error, str):
        return error, None
    if isinstance(error, dict):
        items = list(cast("dict[str, object]", error).items())
        if len(items) == 1:
            return items[0]
    raise ValueError("an error is a name or an object of one name")


def _integer(value: object, size: int) -> bytes:
    if type(value) is not int or not 0 <= value < 1 << (8 * size):
        raise ValueError(f"unsigned integer of {8 * size} bits expected")
    return value.to_bytes(size, "little")
