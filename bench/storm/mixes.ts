/**
 * What the peers of a storm do, and what is made of the waits of the client that is in good order.
 */

/** In the order in which they come. */
export const mixes = {
  "empty-lines": "50 connections that each send a mebibyte of empty lines, again and again",
  "never-read": "300 that send for as long as somebody takes it, and never read",
  silent: "200 that say nothing",
  garbage: "64 at a time that send garbage, or are reset or cut in the middle of something",
  flood: "64 at a time that are new, shake hands and are gone"
} as const

export type Mix = keyof typeof mixes

export const isMix = (name: string): name is Mix => Object.hasOwn(mixes, name)

export const names: ReadonlyArray<Mix> = Object.keys(mixes).filter(isMix)

/** Numbers from 0 to 1 that are the same for the same seed (mulberry32). */
export const random = (seed: number): () => number => {
  let state = seed | 0
  return () => {
    state = state + 0x6d2b79f5 | 0
    let mixed = Math.imul(state ^ state >>> 15, 1 | state)
    mixed = mixed + Math.imul(mixed ^ mixed >>> 7, 61 | mixed) ^ mixed
    return ((mixed ^ mixed >>> 14) >>> 0) / 2 ** 32
  }
}

/** What one peer does that is in no order: the bytes that it sends, and how it goes. */
export interface Disorder {
  readonly bytes: Uint8Array
  readonly goes: "ends" | "resets" | "stays"
}

const encoder = new TextEncoder()

/** In bytes. */
const maxGarbage = 4096

export const disorder = (random: () => number): Disorder => {
  const head = ["", "You re", "You ready?", "You ready?\n"][Math.floor(4 * random())]
  const garbage = Uint8Array.from({ length: Math.floor(maxGarbage * random()) }, () => Math.floor(256 * random()))
  const goes = (["ends", "resets", "stays"] as const)[Math.floor(3 * random())]
  const begin = encoder.encode(head)
  const bytes = new Uint8Array(begin.length + garbage.length)
  bytes.set(begin)
  bytes.set(garbage, begin.length)
  return { bytes, goes }
}

/** What the waits of a client come to, in milliseconds. */
export interface Waits {
  readonly answers: number
  readonly p99: number
  readonly greatest: number
}

export const summarize = (waits: ReadonlyArray<number>): Waits => {
  const sorted = [...waits].sort((a, b) => a - b)
  return {
    answers: sorted.length,
    p99: sorted[Math.ceil(0.99 * sorted.length) - 1] ?? 0,
    greatest: sorted.at(-1) ?? 0
  }
}

/** What a process holds: open descriptors, and its resident set in KiB. */
export interface Held {
  readonly descriptors: number
  readonly resident: number
}

/** In KiB, from one round to the next. */
const mostGrowth = 128 * 1024

/** What a server has kept of the storms, if anything: by what it held at the beginning and behind each round. */
export const leakOf = (held: ReadonlyArray<Held>): string | undefined => {
  const [first, last] = [held[0], held[held.length - 1]]
  const descriptors = last.descriptors - first.descriptors
  if (descriptors > 0) return `${descriptors} descriptors are left open`
  const grown = last.resident - held[held.length - 2].resident
  return grown > mostGrowth ? `its memory has grown by ${Math.round(grown / 1024)} MiB in the last round` : undefined
}
