/**
 * The settings of HTTP/2 as values with names (RFC 9113 6.5.2, RFC 8441 3, RFC 9218 2.1).
 *
 * @internal
 */
import { type Name, violation } from "./errorCode.ts"

export interface Settings {
  readonly headerTableSize: number
  readonly enablePush: boolean
  readonly maxConcurrentStreams: number
  readonly initialWindowSize: number
  readonly maxFrameSize: number
  readonly maxHeaderListSize: number
  readonly enableConnectProtocol: boolean
  readonly noRfc7540Priorities: boolean
}

export const defaults: Settings = {
  headerTableSize: 4096,
  enablePush: true,
  maxConcurrentStreams: Infinity,
  initialWindowSize: 65_535,
  maxFrameSize: 16_384,
  maxHeaderListSize: Infinity,
  enableConnectProtocol: false,
  noRfc7540Priorities: false
}

export const largestWindow = 2 ** 31 - 1
const smallestMaxFrameSize = 2 ** 14
const largestMaxFrameSize = 2 ** 24 - 1
const largestValue = 2 ** 32 - 1

interface Definition {
  readonly id: number
  readonly key: keyof Settings
  /** As RFC 9113 and the registry of IANA call it. */
  readonly name: string
  readonly isFlag: boolean
  readonly least: number
  readonly most: number
  readonly code: Name
}

const size = (id: number, key: keyof Settings, name: string, more?: Partial<Definition>): Definition => ({
  id,
  key,
  name,
  isFlag: false,
  least: 0,
  most: largestValue,
  code: "PROTOCOL_ERROR",
  ...more
})

const flag = (id: number, key: keyof Settings, name: string): Definition =>
  size(id, key, name, { isFlag: true, most: 1 })

const definitions: ReadonlyArray<Definition> = [
  size(0x1, "headerTableSize", "HEADER_TABLE_SIZE"),
  flag(0x2, "enablePush", "ENABLE_PUSH"),
  size(0x3, "maxConcurrentStreams", "MAX_CONCURRENT_STREAMS"),
  size(0x4, "initialWindowSize", "INITIAL_WINDOW_SIZE", { most: largestWindow, code: "FLOW_CONTROL_ERROR" }),
  size(0x5, "maxFrameSize", "MAX_FRAME_SIZE", { least: smallestMaxFrameSize, most: largestMaxFrameSize }),
  size(0x6, "maxHeaderListSize", "MAX_HEADER_LIST_SIZE"),
  flag(0x8, "enableConnectProtocol", "ENABLE_CONNECT_PROTOCOL"),
  flag(0x9, "noRfc7540Priorities", "NO_RFC7540_PRIORITIES")
]

const byId = new Map(definitions.map((definition) => [definition.id, definition]))

const entryLength = 6

/** What a SETTINGS frame says. An id that is not known is ignored, and of one that comes twice the last one counts. */
export const decode = (payload: Uint8Array): Partial<Settings> | ReturnType<typeof violation> => {
  const values: Partial<Record<keyof Settings, number | boolean>> = {}
  for (let at = 0; at < payload.length; at += entryLength) {
    const definition = byId.get(payload[at] * 256 + payload[at + 1])
    if (definition === undefined) continue
    const { code, isFlag, key, least, most, name } = definition
    const value = ((payload[at + 2] << 24) | (payload[at + 3] << 16) | (payload[at + 4] << 8) | payload[at + 5]) >>> 0
    if (value < least || value > most) {
      return violation(code, `a value of ${name} is from ${least} to ${most}`, `SETTINGS ${name}=${value}`)
    }
    values[key] = isFlag ? value === 1 : value
  }
  return values as Partial<Settings> // each key was given a value of its kind
}

const numberOf = (value: number | boolean): number => typeof value === "boolean" ? Number(value) : value

/** What cannot be said of settings, or `undefined` where all of it can. */
export const problemOf = (settings: Partial<Settings>): string | undefined => {
  for (const { key, least, most, name } of definitions) {
    const value = settings[key]
    if (value === undefined) continue
    const number = numberOf(value)
    if (!Number.isInteger(number) || number < least || number > most) {
      return `a value of ${name} is a whole number from ${least} to ${most}, not ${number}`
    }
  }
  return undefined
}

/** The payload of a SETTINGS frame, in the order of the ids. */
export const encode = (settings: Partial<Settings>): Uint8Array => {
  const said = definitions.filter(({ key }) => settings[key] !== undefined)
  const payload = new Uint8Array(said.length * entryLength)
  const view = new DataView(payload.buffer)
  said.forEach(({ id, key }, i) => {
    view.setUint16(i * entryLength, id)
    view.setUint32(i * entryLength + 2, numberOf(settings[key]!)) // those without a value were left out
  })
  return payload
}

export const describe = (settings: Partial<Settings>): string =>
  definitions.filter(({ key }) => settings[key] !== undefined)
    .map(({ key, name }) => `${name}=${numberOf(settings[key]!)}`) // as above
    .join(", ")
