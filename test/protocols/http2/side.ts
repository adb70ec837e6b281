/**
 * One side of an HTTP/2 connection without any IO, against a peer that is nothing but frames.
 */
import * as Result from "effect/Result"
import * as Codec from "../../../src/Codec.ts"
import { concat } from "../../../src/internal/bytes/primitives.ts"
import type * as Http2 from "../../../src/protocols/Http2.ts"
import { Connection } from "../../../src/protocols/http2/connection.ts"
import type { Role } from "../../../src/protocols/http2/role.ts"
import type { Sent } from "../../../src/protocols/http2/send.ts"
import { bytesOf, preface } from "./peer.ts"

const noSettings: Http2.SettingsFrame = { _tag: "Settings", settings: {} }
const settingsAck: Http2.SettingsAck = { _tag: "SettingsAck" }

/** How many frames beyond what was earned are let pass in these tests. */
export const spare = 3

export interface Side {
  readonly say: (...frames: ReadonlyArray<Sent>) => void
  /** Hears frames, and tells the code of what is wrong with one of them. */
  readonly hear: (...frames: ReadonlyArray<Http2.Frame>) => string | undefined
  readonly hearBytes: (...bytes: ReadonlyArray<Uint8Array>) => string | undefined
}

/** A side of a connection that has started, with settings that the peer has acknowledged. */
export const sideOf = (role: Role, settings: Partial<Http2.Settings> = {}): Side => {
  const connection = new Connection({
    role,
    limits: { maxHeaderBlock: 1024, maxContinuations: 16 },
    // The peer's own SETTINGS are one.
    calm: { burst: spare + 1, perSecond: 0 },
    extensions: new Set([0xaa]),
    now: () => 0
  })
  const say = (...frames: ReadonlyArray<Sent>) => void Codec.encodeAll(connection.codec, frames)
  const take = (bytes: Uint8Array) =>
    Result.match(Result.try(() => Codec.decodeAll(connection.codec, bytes)), {
      onSuccess: () => undefined,
      onFailure: (error) => {
        if (error instanceof Codec.MalformedFrame) return error.code
        if (error instanceof Codec.FrameTooLarge) return "FRAME_SIZE_ERROR"
        throw error
      }
    })
  const hear = (...frames: ReadonlyArray<Http2.Frame>) => take(bytesOf(...frames))
  say({ _tag: role === "server" ? "Announce" : "Start", settings })
  if (role === "server") take(preface)
  hear(noSettings, settingsAck)
  return { say, hear, hearBytes: (...bytes) => take(concat(bytes)) }
}
