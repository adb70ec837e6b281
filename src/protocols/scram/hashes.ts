/**
 * Hash functions of certificates that no cryptography of Effect has: SHA-224 (FIPS 180-4) and SHA-3 (FIPS 202). What they
 * hash is public and short.
 *
 * @internal
 */

/** The first `count` prime numbers. */
const primes = (count: number): ReadonlyArray<number> => {
  const found: Array<number> = []
  for (let n = 2; found.length < count; n++) if (found.every((prime) => n % prime !== 0)) found.push(n)
  return found
}

/** FIPS 180-4 4.2.2: the first 32 bits of the fractional parts of the cube roots of the first 64 primes. */
const constants = Uint32Array.from(primes(64), (prime) => (Math.cbrt(prime) % 1) * 2 ** 32)

/** FIPS 180-4 5.3.2: the second 32 bits of the fractional parts of the square roots of the 9th to the 16th prime. */
const initial = [
  0xc105_9ed8,
  0x367c_d507,
  0x3070_dd17,
  0xf70e_5939,
  0xffc0_0b31,
  0x6858_1511,
  0x64f9_8fa7,
  0xbefa_4fa4
] as const

const rotate = (word: number, by: number): number => (word >>> by) | (word << (32 - by))

/** FIPS 180-4 5.1.1: a one, zeros, and how many bits there are. */
const padded = (data: Uint8Array): Uint8Array => {
  const bytes = new Uint8Array(Math.ceil((data.length + 9) / 64) * 64)
  bytes.set(data)
  bytes[data.length] = 0x80
  new DataView(bytes.buffer).setBigUint64(bytes.length - 8, BigInt(data.length) * 8n)
  return bytes
}

export const sha224 = (data: Uint8Array): Uint8Array => {
  const bytes = padded(data)
  const view = new DataView(bytes.buffer)
  const hash = Uint32Array.from(initial)
  const w = new Uint32Array(64)
  for (let block = 0; block < bytes.length; block += 64) {
    for (let t = 0; t < 16; t++) w[t] = view.getUint32(block + 4 * t)
    for (let t = 16; t < 64; t++) {
      const s0 = rotate(w[t - 15], 7) ^ rotate(w[t - 15], 18) ^ (w[t - 15] >>> 3)
      const s1 = rotate(w[t - 2], 17) ^ rotate(w[t - 2], 19) ^ (w[t - 2] >>> 10)
      w[t] = s1 + w[t - 7] + s0 + w[t - 16]
    }
    let [a, b, c, d, e, f, g, h] = hash
    for (let t = 0; t < 64; t++) {
      const s1 = rotate(e, 6) ^ rotate(e, 11) ^ rotate(e, 25)
      const t1 = (h + s1 + ((e & f) ^ (~e & g)) + constants[t] + w[t]) | 0
      const s0 = rotate(a, 2) ^ rotate(a, 13) ^ rotate(a, 22)
      const t2 = (s0 + ((a & b) ^ (a & c) ^ (b & c))) | 0
      ;[h, g, f, e, d, c, b, a] = [g, f, e, (d + t1) | 0, c, b, a, (t1 + t2) | 0]
    }
    for (const [i, word] of [a, b, c, d, e, f, g, h].entries()) hash[i] += word
  }
  const digest = new DataView(new ArrayBuffer(28))
  for (let i = 0; i < 7; i++) digest.setUint32(4 * i, hash[i])
  return new Uint8Array(digest.buffer)
}

const lane = (word: bigint): bigint => BigInt.asUintN(64, word)

const turn = (word: bigint, by: number): bigint =>
  by === 0 ? word : lane(word << BigInt(by)) | (word >> BigInt(64 - by))

/** FIPS 202 3.2.5: the constants of the rounds, by a shift register. */
const roundConstants: ReadonlyArray<bigint> = (() => {
  let register = 1
  return Array.from({ length: 24 }, () => {
    let constant = 0n
    for (let j = 0; j <= 6; j++) {
      if ((register & 1) === 1) constant |= 1n << BigInt(2 ** j - 1)
      register = (register << 1) ^ ((register >> 7) * 0x171)
    }
    return constant
  })
})()

/** FIPS 202 3.3: Keccak-f[1600] of 25 lanes, which stand at `x + 5 y`. */
const permute = (state: Array<bigint>): void => {
  for (const constant of roundConstants) {
    const columns = Array.from(
      { length: 5 },
      (_, x) => state[x] ^ state[x + 5] ^ state[x + 10] ^ state[x + 15] ^ state[x + 20]
    )
    for (let i = 0; i < 25; i++) state[i] ^= columns[(i + 4) % 5] ^ turn(columns[(i + 1) % 5], 1)
    // Rho and pi go the same way through the lanes.
    let [x, y] = [1, 0]
    let moved = state[1]
    for (let t = 0; t < 24; t++) {
      ;[x, y] = [y, (2 * x + 3 * y) % 5]
      const at = x + 5 * y
      ;[moved, state[at]] = [state[at], turn(moved, ((t + 1) * (t + 2) / 2) % 64)]
    }
    for (let row = 0; row < 25; row += 5) {
      const before = state.slice(row, row + 5)
      for (let i = 0; i < 5; i++) state[row + i] = before[i] ^ (lane(~before[(i + 1) % 5]) & before[(i + 2) % 5])
    }
    state[0] ^= constant
  }
}

/** FIPS 202 6.1, of so many bits. */
export const sha3 = (bits: 224 | 256 | 384 | 512) => (data: Uint8Array): Uint8Array => {
  const rate = 200 - bits / 4
  const bytes = new Uint8Array(Math.ceil((data.length + 1) / rate) * rate)
  bytes.set(data)
  bytes[data.length] = 0x06
  bytes[bytes.length - 1] |= 0x80
  const view = new DataView(bytes.buffer)
  const state = Array.from({ length: 25 }, () => 0n)
  for (let block = 0; block < bytes.length; block += rate) {
    for (let i = 0; i < rate / 8; i++) state[i] ^= view.getBigUint64(block + 8 * i, true)
    permute(state)
  }
  const digest = new DataView(new ArrayBuffer(64))
  for (let i = 0; i < 8; i++) digest.setBigUint64(8 * i, state[i], true)
  return new Uint8Array(digest.buffer, 0, bits / 8).slice()
}
