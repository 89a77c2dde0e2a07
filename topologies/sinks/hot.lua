-- Takes the states of pools, each only where it is newer than the one that is there, and the slot
-- that the chain has come to.
--
-- KEYS: per pool its hash and the sets of its two mints; last the hash of the head.
-- ARGV: time (ms), seconds to live, pools, slot (-1: none) and blockhash of the head; then per
-- pool: name, position, blockhash, base, quote, number of the arguments that follow, fields and
-- values. A field that is not told keeps its value, unless the pair is another one.
--
-- A position begins with 16 digits of the slot. Within a slot another block counts as newer,
-- whatever its positions: it replaced the one that is there.
local now, ttl, pools = ARGV[1], ARGV[2], tonumber(ARGV[3])
local at, taken, sets = 6, 0, {}
for i = 1, pools do
    local key = KEYS[3 * i - 2]
    local name, position, blockhash, base, quote, n = unpack(ARGV, at, at + 5)
    local old = redis.call('HMGET', key, 'position', 'blockhash', 'base', 'quote')
    at = at + 6
    if not old[1] or position >= old[1]
        or (blockhash ~= old[2] and string.sub(position, 1, 16) == string.sub(old[1], 1, 16)) then
        if base ~= old[3] or quote ~= old[4] then
            redis.call('DEL', key)
        end
        redis.call('HSET', key, 'position', position, 'blockhash', blockhash, 'base', base,
            'quote', quote, 'updated', now, unpack(ARGV, at, at + n - 1))
        redis.call('EXPIRE', key, ttl)
        for j = 3 * i - 1, 3 * i do
            redis.call('ZADD', KEYS[j], now, name)
            sets[KEYS[j]] = true
        end
        taken = taken + 1
    end
    at = at + n
end
local before = '(' .. string.format('%.0f', tonumber(now) - 1000 * tonumber(ttl))
for set in pairs(sets) do
    redis.call('ZREMRANGEBYSCORE', set, '-inf', before)
    redis.call('EXPIRE', set, ttl)
end
local head = KEYS[3 * pools + 1]
local slot = redis.call('HGET', head, 'slot')
if tonumber(ARGV[4]) >= tonumber(slot or '0') then
    redis.call('HSET', head, 'slot', ARGV[4], 'blockhash', ARGV[5], 'updated', now)
    redis.call('EXPIRE', head, ttl)
end
return taken
