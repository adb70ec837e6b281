/**
 * CRC32c, the checksum of Castagnoli (RFC 4960, appendix B), as the PROXY protocol has it (2.2.3).
 *
 * @internal
 */

/** The polynomial 0x1EDC6F41, its bits reversed. */
const polynomial = 0x82f63b78

const remainderOf = (byte: number): number => {
  let remainder = byte
  for (let bit = 0; bit < 8; bit++) remainder = remainder & 1 ? (remainder >>> 1) ^ polynomial : remainder >>> 1
  return remainder >>> 0
}

const remainders = Uint32Array.from({ length: 256 }, (_, byte) => remainderOf(byte))

/** Of all bytes, those in `[from, to)` taken for zeros: the field of the checksum itself is zero while it is reckoned. */
export const crc32c = (bytes: Uint8Array, from = 0, to = from): number => {
  let sum = 0xffffffff
  for (let i = 0; i < bytes.length; i++) {
    const byte = i >= from && i < to ? 0 : bytes[i]
    sum = (sum >>> 8) ^ remainders[(sum ^ byte) & 0xff]
  }
  return (sum ^ 0xffffffff) >>> 0
}
