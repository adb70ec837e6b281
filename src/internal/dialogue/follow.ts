/**
 * What was said in a conversation, as its specification sees it: message by message, up to its end or to the first thing that is
 * not specified. Pure, and with nothing but the bytes of both sides.
 *
 * | ends as | what has happened |
 * |---|---|
 * | `Ready` | the last message leads to an end that is ready |
 * | `Refused` | a side has said no, in a state of its own or otherwise |
 * | `Waiting` | whoever is to speak has not, or not all of a message |
 * | `Wrong` | what came is no message of the state, or is too long for it |
 * | `TooOften` | a state was come to more often than it may be |
 *
 * @internal
 */
import * as Result from "effect/Result"
import type * as Codec from "../../Codec.ts"
import { ByteBuffer } from "../bytes/buffer.ts"
import type { Values } from "./fields.ts"
import type { Role, Target } from "./model.ts"
import { type Compiled, saidOf, type Spec, stateOf } from "./spec.ts"

/** A message that was said where it was due. */
export interface Taken {
  readonly state: Compiled
  readonly by: Role
  readonly tag: string
  readonly values: Values
  readonly bytes: Uint8Array
  /** Which message of its side it is, and where it begins in what that side has said. */
  readonly nth: number
  readonly from: number
  readonly target: Target
}

export type End =
  | { readonly _tag: "Ready"; readonly state: Compiled }
  | {
    readonly _tag: "Refused"
    readonly state: Compiled
    readonly by: Role
    readonly tag: string
    readonly isOtherwise: boolean
    readonly values: Values
  }
  | { readonly _tag: "Waiting"; readonly state: Compiled; readonly on: Role; readonly isBegun: boolean }
  | {
    readonly _tag: "Wrong"
    readonly state: Compiled
    readonly by: Role
    readonly problem: string
    /** The message that it would be elsewhere. */
    readonly tag: string | undefined
    readonly isTooLong: boolean
    readonly bytes: Uint8Array
  }
  | { readonly _tag: "TooOften"; readonly state: Compiled }

export interface Walk {
  readonly taken: ReadonlyArray<Taken>
  readonly end: End
  /** What each side has said behind that. */
  readonly rest: Readonly<Record<Role, Uint8Array>>
}

/** What came where a message of a state was due. */
export type Read =
  | { readonly _tag: "Message"; readonly tag: string; readonly values: Values; readonly bytes: Uint8Array }
  | { readonly _tag: "More" }
  | {
    readonly _tag: "Wrong"
    readonly problem: string
    readonly tag: string | undefined
    readonly isTooLong: boolean
    readonly bytes: Uint8Array
  }

/** The bytes of one side, taken message by message. */
class Stream {
  readonly bytes: Uint8Array
  at = 0
  nth = 0
  private readonly buffer = new ByteBuffer()
  private codec: Codec.Codec<unknown, unknown> | undefined
  private decoder: Codec.Decoder<unknown> | undefined

  constructor(bytes: Uint8Array) {
    this.bytes = bytes
    this.buffer.push(bytes)
  }

  get rest(): Uint8Array {
    return this.bytes.subarray(this.at)
  }

  read({ due, maxBytes, wire }: Compiled): Read {
    const codec = wire.codec(due)
    if (codec !== this.codec) {
      this.codec = codec
      this.decoder = codec.decoder()
    }
    const left = this.buffer.length
    const wrong = (problem: string, length: number, isTooLong: boolean, tag?: string): Read => ({
      _tag: "Wrong",
      problem,
      isTooLong,
      tag,
      bytes: this.bytes.subarray(this.at - length, this.at)
    })
    const frame = decode(this.decoder!, this.buffer)
    if (frame === undefined) {
      return maxBytes !== undefined && left > maxBytes ? wrong("it is too long", 0, true) : { _tag: "More" }
    }
    if (typeof frame === "string") return wrong(frame, 0, frame === tooLong)
    const length = left - this.buffer.length
    this.at += length
    if (maxBytes !== undefined && length > maxBytes) return wrong("it is too long", length, true)
    this.nth++
    const read = wire.read(frame.success, due)
    return Result.isFailure(read)
      ? wrong(read.failure, length, false)
      : { _tag: "Message", ...read.success, bytes: this.bytes.subarray(this.at - length, this.at) }
  }
}

const tooLong = "it is longer than its codec allows"

/** A frame, what is wrong, or nothing yet. */
const decode = (
  decoder: Codec.Decoder<unknown>,
  buffer: ByteBuffer
): { readonly success: unknown } | string | undefined => {
  try {
    const result = decoder.decode(buffer)
    if (result === undefined || Result.isSuccess(result)) return result
    return result.failure._tag === "FrameTooLarge" ? tooLong : result.failure.problem
  } catch {
    return "its codec threw"
  }
}

/** What some bytes are where a message of a state is due, and how many bytes are left behind it. */
export const readOne = (state: Compiled, bytes: Uint8Array): { readonly read: Read; readonly left: number } => {
  const stream = new Stream(bytes)
  const read = stream.read(state)
  return { read, left: bytes.length - stream.at }
}

/** Whether a message is what a side says to whoever breaks the rules. */
export const isOtherwise = ({ otherwise }: Spec, by: Role, tag: string): boolean => {
  const said = otherwise[by]
  return said !== undefined && (typeof said === "function" || saidOf(said)[0] === tag)
}

export const isRefused = (target: Target | undefined): boolean =>
  typeof target === "object" && target._tag === "Refused"

/** Whose turn it is in a state. */
export const speakersOf = ({ turn }: Compiled): ReadonlyArray<Role> => turn === "both" ? ["client", "server"] : [turn]

export const follow = (spec: Spec, said: Readonly<Record<Role, Uint8Array>>): Walk => {
  const streams = { client: new Stream(said.client), server: new Stream(said.server) }
  const taken: Array<Taken> = []
  const visits = new Map<string, number>()
  const ended = (end: End): Walk => ({
    taken,
    end,
    rest: { client: streams.client.rest, server: streams.server.rest }
  })
  let state = spec.start
  for (;;) {
    const visit = (visits.get(state.name) ?? 0) + 1
    visits.set(state.name, visit)
    if (visit > state.atMost) return ended({ _tag: "TooOften", state })
    let target: Target | undefined
    let end: End | undefined
    for (const by of speakersOf(state)) {
      const stream = streams[by]
      const from = stream.at
      const isBegun = stream.rest.length > 0
      const read = stream.read(state)
      if (read._tag === "More") {
        end ??= { _tag: "Waiting", state, on: by, isBegun }
        continue
      }
      if (read._tag === "Wrong") {
        end ??= { ...read, state, by }
        continue
      }
      const { bytes, tag, values } = read
      const leads = state.targets.get(tag)
      if (leads === undefined) {
        end ??= isOtherwise(spec, by, tag)
          ? { _tag: "Refused", state, by, tag, values, isOtherwise: true }
          : { _tag: "Wrong", state, by, problem: `${tag} is not due`, tag, isTooLong: false, bytes }
        continue
      }
      taken.push({ state, by, tag, values, bytes, nth: stream.nth - 1, from, target: leads })
      if (isRefused(leads)) end ??= { _tag: "Refused", state, by, tag, values, isOtherwise: false }
      else target = leads
    }
    if (end !== undefined) return ended(end)
    const next = target === undefined ? undefined : stateOf(target)
    if (next === undefined) return ended({ _tag: "Ready", state })
    state = spec.states.get(next)!
  }
}
