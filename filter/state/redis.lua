-- One step on the cell KEYS[1]. ARGV[1] is the operation, what follows belongs to it. It is Step.apply of state.go in Lua, with this
-- server's clock in microseconds. A cell is the string "A B at first until mark". Open sessions are a sorted set: every session with the
-- time when its lease ends, and below zero, where no lease is, "first" and "at".
local key, op = KEYS[1], ARGV[1]
local clock = redis.call('TIME')
local now = clock[1] * 1000000 + clock[2]

local function us(x) return string.format('%.0f', x) end

if op == 'born' then
	-- Written each time, so that a server that takes no writes does not pass for one that is back: "born seen was", as age.on of age.go has it.
	local f = {}
	for word in string.gmatch(redis.call('GET', key) or '', '%S+') do f[#f + 1] = tonumber(word) end
	local born, seen, was = f[1] or now, f[2] or now, f[3] or 0
	if math.abs(now - seen) > 30 * 86400 * 1000000 then
		if was ~= 0 and (was < born) == (now < seen) and was <= now then born, was = was, 0 else born, was = now, born end
	end
	redis.call('SET', key, us(born) .. ' ' .. us(now) .. ' ' .. us(was))
	return us(born)
end

local maxKeep = 400 * 86400 * 1000000
local c = {a = 0, b = 0, at = now, first = now, til = 0, mark = 0}
local found, sessions = false, false

local function pack()
	return string.format('%.17g %.17g %.0f %.0f %.0f %.0f', c.a, c.b, c.at, c.first, c.til, c.mark)
end

local function keep()
	redis.call('SET', key, pack())
	redis.call('PEXPIREAT', key, us(math.floor(c.til / 1000) + 1))
end

local function live() return redis.call('ZCOUNT', key, us(now), '+inf') end

local value = redis.pcall('GET', key)
if type(value) == 'string' then
	local f = {}
	for word in string.gmatch(value, '%S+') do f[#f + 1] = tonumber(word) end
	if #f == 6 and f[5] >= now then
		c = {a = f[1], b = f[2], at = f[3], first = f[4], til = f[5], mark = f[6]}
		found = true
	end
elseif type(value) == 'table' then
	local first, at = redis.pcall('ZSCORE', key, 'first'), redis.pcall('ZSCORE', key, 'at')
	if type(first) == 'string' and type(at) == 'string' and live() > 0 then
		local last = redis.call('ZREVRANGE', key, 0, 0, 'WITHSCORES')
		c = {a = live(), b = 0, at = -at, first = -first, til = tonumber(last[2]), mark = 0}
		found, sessions = true, true
	end
end

local before, over = pack(), 0
if op == 'leak' then
	local n, rate, burst = tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4])
	if sessions then c.a = 0 end -- the limit is another one under the same name
	if now > c.at then c.a = math.max(0, c.a - (now - c.at) / 1000000 * rate) end
	c.at = now
	before = pack()
	if c.mark == 1 or c.a + n > burst then over = 1 end
	c.a = math.max(c.a, math.min(c.a + n, burst + n))
	if ARGV[5] == '1' and over == 1 then c.mark = 1 end
	c.til = now + maxKeep
	if c.mark == 0 and rate > 0 then c.til = now + math.min(math.floor(c.a / rate + 60) * 1000000, maxKeep) end
	keep()
elseif op == 'weigh' then
	local a, b, half = tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4])
	if now > c.at and half > 0 then
		local left = 2 ^ (-(now - c.at) / half)
		c.a, c.b = c.a * left, c.b * left
	end
	c.at = now
	before = pack()
	c.a, c.b, c.til = math.max(0, c.a + a), math.max(0, c.b + b), now + math.min(10 * half, maxKeep)
	keep()
elseif op == 'touch' then
	c.a, c.at, c.til = c.a + 1, now, now + tonumber(ARGV[2])
	keep()
elseif op == 'enter' then
	if not sessions then redis.call('DEL', key) end
	redis.call('ZREMRANGEBYSCORE', key, '0', '(' .. us(now))
	c.at, c.til = now, math.max(c.til, now + tonumber(ARGV[3]))
	redis.call('ZADD', key, us(now + tonumber(ARGV[3])), ARGV[2], us(-c.first), 'first', us(-now), 'at')
	redis.call('PEXPIREAT', key, us(math.floor(c.til / 1000) + 1))
	c.a = live()
elseif op == 'leave' then
	c.at = now
	if sessions then
		redis.call('ZREM', key, ARGV[2])
		c.a = live()
		if c.a == 0 then redis.call('DEL', key) else redis.call('ZADD', key, us(-now), 'at') end
	end
elseif op == 'clear' then
	redis.call('DEL', key)
end
return (found and '1 ' or '0 ') .. over .. ' ' .. before .. ' ' .. pack() .. ' ' .. us(now)
