/**
 * The load of the servers, written by hand on `node:net` so that it costs less than what it measures: the same bytes for all
 * of them. Each answer is looked at, so that a server that lets nobody in does not score.
 *
 * `load.ts KIND PORT PID SECONDS`
 */
import { createHash, createHmac, pbkdf2Sync, randomBytes } from "node:crypto"
import * as Net from "node:net"
import { setTimeout } from "node:timers/promises"
import * as Tls from "node:tls"
import * as Certificate from "./certificate.ts"
import * as Login from "./login.ts"
import * as Sample from "./sample.ts"

const [kind, port, pid, seconds] = process.argv.slice(2)

/** Where a message ends that begins at `at`; more than there is where it is not whole. */
type EndOf = (unread: Buffer, at: number) => number

/** What is done with a message, and whether the connection has served its purpose. */
type Hear = (message: Buffer, socket: Net.Socket) => boolean

/** Connects, says what is due, hears messages until one is the last, says good-bye and waits until it is closed. */
const connection = (begin: Uint8Array, endOf: EndOf, newHear: () => Hear, bye: Uint8Array | undefined) => () =>
  new Promise<void>((resolve, reject) => {
    const hear = newHear()
    let unread: Buffer = Buffer.alloc(0)
    let isDone = false
    const socket = Net.connect({ port: Number(port), host: "127.0.0.1", noDelay: true }, () => socket.write(begin))
      .on("data", (chunk: Buffer) => {
        unread = unread.length === 0 ? chunk : Buffer.concat([unread, chunk])
        let at = 0
        for (let end = endOf(unread, at); !isDone && end <= unread.length; end = endOf(unread, at)) {
          try {
            isDone = hear(unread.subarray(at, end), socket)
          } catch (error) {
            socket.destroy()
            return reject(error)
          }
          at = end
        }
        unread = unread.subarray(at)
        if (isDone) {
          if (bye === undefined) socket.end()
          else socket.end(bye)
        }
      })
      .on("error", (error) => isDone ? undefined : reject(error))
      .on("close", () => isDone ? resolve() : reject(new Error("the server has closed before its time")))
  })

// ---------------------------------------------------------------------------------------------------------------------
// PostgreSQL
// ---------------------------------------------------------------------------------------------------------------------

const endOfMessage: EndOf = (unread, at) => unread.length - at < 5 ? Infinity : at + 1 + unread.readUInt32BE(at + 1)

const packet = (type: string, body: Uint8Array): Buffer => {
  const length = Buffer.alloc(4)
  length.writeUInt32BE(body.length + 4)
  return Buffer.concat([Buffer.from(type), length, body])
}

const startUp = packet("", Buffer.from(`\0\x03\0\0user\0${Login.user}\0database\0${Login.database}\0\0`, "latin1"))
const terminate = packet("X", new Uint8Array(0))

const hmac = (key: Uint8Array, text: string) => createHmac("sha256", key).update(text).digest()

/** The salt is the same each time, so that it is derived once. */
const salted = new Map<string, Buffer>()
const saltedPassword = (salt: string, iterations: string): Buffer => {
  const found = salted.get(salt + iterations)
  if (found !== undefined) return found
  const made = pbkdf2Sync(Login.password, Buffer.from(salt, "base64"), Number(iterations), 32, "sha256")
  salted.set(salt + iterations, made)
  return made
}

/** A client of PostgreSQL that answers what is asked for (RFC 5802, the PostgreSQL manual 55.3). */
const loggingIn = (): Hear => {
  const bare = `n=,r=${randomBytes(18).toString("base64")}`
  let signature = ""
  let isProved = kind === "login-trust"
  return (message, socket) => {
    const type = String.fromCharCode(message[0])
    if (type === "E") throw new Error(message.subarray(5).toString("latin1").replaceAll("\0", " "))
    if (type === "Z") {
      if (!isProved) throw new Error("let in without a proof")
      return true
    }
    if (type !== "R") return false
    const text = message.subarray(9).toString("latin1")
    switch (message.readUInt32BE(5)) {
      case 10: {
        const first = Buffer.from(`n,,${bare}`)
        const length = Buffer.alloc(4)
        length.writeUInt32BE(first.length)
        socket.write(packet("p", Buffer.concat([Buffer.from("SCRAM-SHA-256\0"), length, first])))
        break
      }
      case 11: {
        const [, nonce, salt, iterations] = /^r=([^,]+),s=([^,]+),i=(\d+)/.exec(text) ?? []
        if (Number(iterations) !== Login.iterations) throw new Error(`${iterations} iterations`)
        const key = saltedPassword(salt, iterations)
        const clientKey = hmac(key, "Client Key")
        const withoutProof = `c=biws,r=${nonce}`
        const all = `${bare},${text},${withoutProof}`
        const proof = hmac(createHash("sha256").update(clientKey).digest(), all).map((byte, at) => byte ^ clientKey[at])
        signature = hmac(hmac(key, "Server Key"), all).toString("base64")
        socket.write(packet("p", Buffer.from(`${withoutProof},p=${Buffer.from(proof).toString("base64")}`)))
        break
      }
      case 12:
        isProved = text === `v=${signature}`
        break
    }
    return false
  }
}

// ---------------------------------------------------------------------------------------------------------------------
// HTTP/2
// ---------------------------------------------------------------------------------------------------------------------

const endOfFrame: EndOf = (unread, at) => unread.length - at < 9 ? Infinity : at + 9 + unread.readUIntBE(at, 3)

const frame = (type: number, flags: number, stream: number, payload: Uint8Array): Buffer => {
  const head = Buffer.alloc(9)
  head.writeUIntBE(payload.length, 0, 3)
  head.writeUInt8(type, 3)
  head.writeUInt8(flags, 4)
  head.writeUInt32BE(stream, 5)
  return Buffer.concat([head, payload])
}

const nothing = new Uint8Array(0)
const [data, headers, settings, goAway] = [0, 1, 4, 7]
const [endStream, ack, endHeaders] = [1, 1, 4]

const opening = Buffer.concat([Buffer.from("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"), frame(settings, 0, 0, nothing)])
const acknowledged = frame(settings, ack, 0, nothing)
const farewell = frame(goAway, 0, 0, new Uint8Array(8))

const notGone = (message: Buffer) => {
  if (message[3] === goAway && message.readUInt32BE(13) !== 0) throw new Error(`GOAWAY ${message.readUInt32BE(13)}`)
}

/** Acknowledges the server's settings, and is done when the server has acknowledged its own. */
const opened = (): Hear => {
  let has = false
  let isHeard = false
  return (message, socket) => {
    notGone(message)
    if (message[3] === settings) {
      if ((message[4] & ack) === 0) {
        socket.write(acknowledged)
        has = true
      } else isHeard = true
    }
    return has && isHeard
  }
}

/** So many frames of DATA are in a request; together they fit into any window that is at least half open. */
const frames = 1000
const length = 32

// :method POST, :scheme http, :path /, :authority x
const request = Buffer.from([0x83, 0x86, 0x84, 0x41, 0x01, 0x78])

const requestOn = (stream: number): Buffer =>
  Buffer.concat([
    frame(headers, endHeaders, stream, request),
    ...Array.from({ length: frames }, (_, at) =>
      frame(data, at === frames - 1 ? endStream : 0, stream, Buffer.alloc(length, 0x61)))
  ])

/** One connection that uploads, waits for the answer, and uploads again. */
const uploading = (isOver: () => boolean, done: () => void): Promise<void> => {
  let stream = 1
  const upload = requestOn(stream)
  /** Only the number of the stream is another each time. */
  const next = () => {
    for (let at = 0; at < upload.length; at = endOfFrame(upload, at)) upload.writeUInt32BE(stream, at + 5)
    return upload
  }
  return connection(Buffer.concat([opening, next()]), endOfFrame, () => (message, socket) => {
    notGone(message)
    const [type, flags] = [message[3], message[4]]
    if (type === settings && (flags & ack) === 0) socket.write(acknowledged)
    if ((type !== headers && type !== data) || (flags & endStream) === 0) return false
    done()
    if (isOver()) return true
    stream += 2
    // The last one has been read to its end, or there would be no answer.
    socket.write(next())
    return false
  }, farewell)()
}

// ---------------------------------------------------------------------------------------------------------------------
// Lines inside TLS
// ---------------------------------------------------------------------------------------------------------------------

const context = Tls.createSecureContext({ ca: Certificate.root })
const within = { port: Number(port), host: "127.0.0.1", servername: "localhost", secureContext: context, noDelay: true }

/** Shakes hands, says the lines, and hears as many back; `heard` is told of each chunk and says when it was enough. */
const encrypted = (session: Buffer | undefined, heard: (text: string, socket: Tls.TLSSocket) => boolean) =>
  new Promise<Buffer>((resolve, reject) => {
    let text = ""
    let isDone = false
    let ticket = Buffer.alloc(0)
    const socket = Tls.connect({ ...within, session }, () => {
      if (session !== undefined && !socket.isSessionReused()) socket.destroy(new Error("not resumed"))
      else socket.write("You ready?\n")
    })
      .setEncoding("latin1")
      .on("session", (given) => {
        ticket = given
      })
      .on("data", (chunk: string) => {
        text += chunk
        const end = text.lastIndexOf("\n") + 1
        if (isDone || end === 0) return
        const lines = text.slice(0, end)
        text = text.slice(end)
        isDone = heard(lines, socket)
        if (isDone) socket.end()
      })
      .on("error", (error) => isDone ? undefined : reject(error))
      .on("close", () => isDone ? resolve(ticket) : reject(new Error("the server has closed before its time")))
  })

/** One line and its answer. */
const once = (session: Buffer | undefined) =>
  encrypted(session, (lines, socket) => {
    if (lines === "Hello\n") return true
    if (lines !== "Bring it!\n") throw new Error(`heard ${lines}`)
    socket.write("Hello\n")
    return false
  })

/** How many connections are left idle, and how many come before them. */
const [idle, before] = [3000, 300]

/** Opens a connection and leaves it as it is. */
const leftOpen = () =>
  new Promise<Tls.TLSSocket>((resolve, reject) => {
    const socket = Tls.connect(within, () => socket.write("You ready?\n"))
    socket.once("data", (heard) =>
      String(heard) === "Bring it!\n" ? resolve(socket) : reject(new Error(`heard ${heard}`)))
    socket.once("error", reject)
  })

const several = async (count: number): Promise<ReadonlyArray<Tls.TLSSocket>> => {
  const sockets: Array<Tls.TLSSocket> = []
  while (sockets.length < count) {
    sockets.push(...await Promise.all(Array.from({ length: Math.min(16, count - sockets.length) }, leftOpen)))
  }
  return sockets
}

const closed = (socket: Tls.TLSSocket) => new Promise((resolve) => socket.once("close", resolve).destroy())

/** What the server has of each, and what it takes to open one. */
const idling = async (): Promise<Sample.Sample> => {
  for (const socket of await several(before)) await closed(socket)
  await setTimeout(500)
  const [bytes, used, beganAt] = [Sample.residentOf(Number(pid)), cpu(), performance.now()]
  const sockets = await several(idle)
  const elapsed = (performance.now() - beganAt) / 1000
  await setTimeout(500)
  const left = (Sample.residentOf(Number(pid)) - bytes) / idle
  for (const socket of sockets) socket.destroy()
  return { perSecond: idle / elapsed, cpu: (cpu() - used) / idle, bytes: left }
}

const resuming = () => {
  let session: Promise<Buffer> | undefined
  return async () => {
    session ??= once(undefined)
    await once(await session)
  }
}

const longLine = Buffer.from(`${"x".repeat(64 * 1024 - 1)}\n`)
const ready = Buffer.from("Bring it!\n")
const together = 16

/** One connection with so many long lines under way. They are compared as bytes, so that the load has less to do than the server. */
const echoing = (isOver: () => boolean, done: () => void): Promise<void> =>
  new Promise((resolve, reject) => {
    let due = ready
    let heard = 0
    let underWay = 0
    const say = () => {
      underWay++
      socket.write(longLine)
    }
    const heardAll = () => {
      heard = 0
      if (due === ready) {
        due = longLine
        for (let i = 0; i < together; i++) say()
        return
      }
      underWay--
      done()
      if (!isOver()) say()
      else if (underWay === 0) socket.end()
    }
    const socket = Tls.connect(within, () => socket.write("You ready?\n"))
      .on("data", (chunk: Buffer) => {
        for (let from = 0; from < chunk.length;) {
          const to = Math.min(chunk.length, from + due.length - heard)
          if (chunk.compare(due, heard, heard + to - from, from, to) !== 0) {
            return void socket.destroy(new Error("not the line that was said"))
          }
          heard += to - from
          from = to
          if (heard === due.length) heardAll()
        }
      })
      .on("error", reject)
      .on("close", () => isOver() ? resolve() : reject(new Error("the server has closed before its time")))
  })

// ---------------------------------------------------------------------------------------------------------------------

const cpu = () => Sample.of(Number(pid))

const loads: Readonly<Record<string, Sample.Load>> = {
  "login-trust": {
    work: Sample.repeated(connection(startUp, endOfMessage, loggingIn, terminate)),
    atOnce: 16,
    cpu
  },
  "login-scram": {
    work: Sample.repeated(connection(startUp, endOfMessage, loggingIn, terminate)),
    atOnce: 16,
    cpu
  },
  "http2-connect": { work: Sample.repeated(connection(opening, endOfFrame, opened, farewell)), atOnce: 16, cpu },
  "tls-full": { work: Sample.repeated(() => once(undefined)), atOnce: 16, cpu },
  "tls-resumed": { work: Sample.repeated(resuming()), atOnce: 16, cpu },
  "tls-lines": { work: echoing, atOnce: 1, each: 1 / 16, cpu },
  "http2-frames": { work: uploading, atOnce: 4, each: frames, cpu }
}

if (kind === "tls-idle") Sample.print(await idling())
else await Sample.serve(Number(seconds), Sample.sideBySide(loads[kind]))
