/**
 * Frames of HTTP/2 for tests, drawn and as bytes.
 */
import * as Arbitrary from "effect/Arbitrary"
import * as Schema from "effect/Schema"
import type * as Http2 from "../../../src/protocols/Http2.ts"

const int = (minimum: number, maximum: number) =>
  Arbitrary.schema(Schema.Int.check(Schema.isBetween({ minimum, maximum })))

const oneOf = <A>(...choices: ReadonlyArray<Arbitrary.Arbitrary<A>>): Arbitrary.Arbitrary<A> =>
  Arbitrary.flatMap(int(0, choices.length - 1), (index) => choices[index])

const flag = Arbitrary.schema(Schema.Boolean)

const uint31 = 2 ** 31 - 1
const uint32 = 2 ** 32 - 1

const bytes = (maxLength: number) =>
  Arbitrary.map(Arbitrary.array(int(0, 255), { maxLength }), (numbers) => Uint8Array.from(numbers))

const eight = Arbitrary.map(
  Arbitrary.array(int(0, 255), { minLength: 8, maxLength: 8 }),
  (numbers) => Uint8Array.from(numbers)
)

const tagged = <const Tag extends string, A extends object>(_tag: Tag, fields: Arbitrary.Arbitrary<A>) =>
  Arbitrary.map(fields, (fields) => ({ _tag, ...fields }))

const streamId = int(1, uint31)
const priority = Arbitrary.all({ exclusive: flag, dependsOn: int(0, uint31), weight: int(1, 256) })

const settings = oneOf<Partial<Http2.Settings>>(
  Arbitrary.Constant({}),
  Arbitrary.all({ headerTableSize: int(0, uint32), enablePush: flag }),
  Arbitrary.all({ maxConcurrentStreams: int(0, uint32), initialWindowSize: int(0, uint31) }),
  Arbitrary.all({ maxFrameSize: int(2 ** 14, 2 ** 24 - 1), maxHeaderListSize: int(0, uint32) }),
  Arbitrary.all({ enableConnectProtocol: flag, noRfc7540Priorities: flag })
)

/**
 * Any frame that may stand between others: header blocks are complete in their first frame.
 */
export const frames: Arbitrary.Arbitrary<Http2.Frame> = oneOf<Http2.Frame>(
  tagged("Data", Arbitrary.all({ streamId, data: bytes(40), endStream: flag })),
  tagged("Data", Arbitrary.all({ streamId, data: bytes(40), endStream: flag, padLength: int(0, 255) })),
  tagged(
    "Headers",
    Arbitrary.all({ streamId, fragment: bytes(40), endStream: flag, endHeaders: Arbitrary.Constant(true) })
  ),
  tagged(
    "Headers",
    Arbitrary.all({
      streamId,
      fragment: bytes(40),
      endStream: flag,
      endHeaders: Arbitrary.Constant(true),
      priority,
      padLength: int(0, 255)
    })
  ),
  tagged("Priority", Arbitrary.all({ streamId, priority })),
  tagged("RstStream", Arbitrary.all({ streamId, code: int(0, uint32) })),
  tagged("Settings", Arbitrary.all({ settings })),
  Arbitrary.Constant<Http2.Frame>({ _tag: "SettingsAck" }),
  tagged(
    "PushPromise",
    Arbitrary.all({
      streamId,
      promisedStreamId: streamId,
      fragment: bytes(40),
      endHeaders: Arbitrary.Constant(true)
    })
  ),
  tagged("Ping", Arbitrary.all({ data: eight })),
  tagged("Pong", Arbitrary.all({ data: eight })),
  tagged("GoAway", Arbitrary.all({ lastStreamId: int(0, uint31), code: int(0, uint32), debugData: bytes(20) })),
  tagged("WindowUpdate", Arbitrary.all({ streamId: int(0, uint31), increment: int(1, uint31) })),
  tagged(
    "Unknown",
    Arbitrary.all({ type: int(10, 255), flags: int(0, 255), streamId: int(0, uint31), payload: bytes(40) })
  )
)

/** The bytes of a frame, as they stand on the wire, whatever they are. */
export const raw = (
  type: number,
  flags: number,
  streamId: number,
  payload: ReadonlyArray<number> | Uint8Array = [],
  length = payload.length
): Uint8Array =>
  Uint8Array.of(
    length >> 16,
    length >> 8,
    length,
    type,
    flags,
    streamId >>> 24,
    streamId >>> 16,
    streamId >>> 8,
    streamId,
    ...payload
  )
