/**
 * Decodes what a server says to a query with a hundred rows, in pieces of 64 KiB, as a socket gives them.
 *
 * `postgres-decode.ts DECODER SECONDS`
 */
import * as Exit from "effect/Exit"
import * as Codec from "../../src/Codec.ts"
import { Frames, Inbox } from "../../src/internal/connection/inbox.ts"
import { maxPull } from "../../src/internal/connection/transport.ts"
import * as Postgres from "../../src/protocols/Postgres.ts"
import * as Sample from "./sample.ts"

const [decoder, seconds] = process.argv.slice(2)

const utf8 = new TextEncoder()

const field = (name: string, type: number): Postgres.Field => ({
  name,
  table: 16_384,
  column: 1,
  type,
  size: -1,
  modifier: -1,
  format: "text"
})

const answer: ReadonlyArray<Postgres.BackendMessage> = [
  {
    _tag: "RowDescription",
    fields: [field("id", 23), field("name", 25), field("email", 25), field("created_at", 1184)]
  },
  ...Array.from({ length: 100 }, (_, id): Postgres.BackendMessage => ({
    _tag: "DataRow",
    values: [
      utf8.encode(`${id}`),
      utf8.encode(`Somebody, the ${id}th of the name`),
      id % 4 === 0 ? null : utf8.encode(`somebody${id}@example.com`),
      utf8.encode("2026-11-29 12:00:00.123456+00")
    ]
  })),
  { _tag: "CommandComplete", command: "SELECT 100" },
  { _tag: "ReadyForQuery", status: "idle" }
]

/** Answers that are together about a MiB. */
const bytes = Codec.encodeAll(
  Postgres.backendMessages(),
  Array.from({ length: 100 }, () => answer).flat()
)
const messages = answer.length * 100
const piece = 65_536

const decoders: Readonly<Record<string, () => Promise<Sample.Run>>> = {
  // Through the inbox of a transport, as in a connection
  ours: async () => {
    const inbox = new Inbox()
    const frames = new Frames(inbox, Postgres.backendMessages().decoder())
    return () => {
      let count = 0
      for (let at = 0; at < bytes.length; at += piece) {
        inbox.push(bytes.subarray(at, at + piece))
        for (;;) {
          const taken = frames.nextAll(maxPull)
          if (Exit.isExit(taken)) throw new Error(`the codec failed: ${taken}`)
          if (taken.length === 0) break
          count += taken.length
        }
      }
      return count
    }
  },
  "pg-protocol": async () => {
    const { Parser } = await import("pg-protocol/dist/parser.js")
    const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
    const parser = new Parser()
    return () => {
      let count = 0
      for (let at = 0; at < buffer.length; at += piece) {
        parser.parse(buffer.subarray(at, at + piece), () => {
          count++
        })
      }
      return count
    }
  }
}

const run = await decoders[decoder]()
const count = run()
if (count !== messages) throw new Error(`decoded ${count} messages of ${messages}`)
await Sample.serve(Number(seconds), Sample.alone(run))
