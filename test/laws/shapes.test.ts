/**
 * The laws of healthy protocols of many shapes, each clean of any false alarm.
 *
 * On one rung each, with as many drawn cases as on all of them: that the rungs agree is held by the line protocol, the vault,
 * TLS, HTTP/2 and PostgreSQL, and to try every list of cases on a second rung would take as long again.
 */
import * as Laws from "../../src/testing/Laws.ts"
import * as Rung from "../../src/testing/Rung.ts"
import * as Law from "../support/laws.ts"
import * as Challenge from "./shapes/challenge.ts"
import * as Hello from "./shapes/hello.ts"
import { mail } from "./shapes/mail.ts"
import { mqtt } from "./shapes/mqtt.ts"
import { resp } from "./shapes/resp.ts"
import { socks } from "./shapes/socks.ts"
import * as Upgrade from "./shapes/upgrade.ts"
import * as Versions from "./shapes/versions.ts"

const how = { it: Law.it, runs: Law.runs }
const simulated = { ...how, rungs: [Rung.simulated()] }
const inMemory = { ...how, rungs: [Rung.memory] }

// The server speaks first.
Laws.handshake({ ...mail, ...simulated })
// Binary packets, refused in words only where that is due.
Laws.handshake({ ...mqtt, ...inMemory })
// One question and one answer, with a login in it.
Laws.handshake({ ...resp, ...simulated })
// Three questions, with frames of their own.
Laws.handshake({ ...socks, ...inMemory })
// An upgrade of HTTP/1.1.
Laws.handshake({ ...Upgrade.options, ...inMemory })
// Both speak at once.
Laws.handshake({ ...Hello.options, ...simulated })
// A negotiation of versions.
Laws.handshake({ ...Versions.options, ...simulated })
// A mutual challenge.
Laws.handshake({ ...Challenge.options, ...inMemory })
Laws.handshake({ ...Challenge.seededOptions, ...how, rungs: [Rung.pure] })
