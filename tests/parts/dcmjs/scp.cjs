// A service provider of dcmjs-dimse: node scp.cjs PORT FOLDER ARCHIVE TITLE DESTINATIONS
// Each object becomes a file FOLDER/NUMBER-TRANSFER_SYNTAX.dataset of the bytes as they came, once dcmjs has read them.
// Queries and retrievals are answered from the DICOM files of the folder ARCHIVE, if it is not empty; the JSON object
// DESTINATIONS has the ports to which C-MOVE sends. Requests but C-STORE are lines on standard output.
const fs = require('fs');
const path = require('path');
const { Writable } = require('stream');
const { Client, Dataset, Scp, Server } = require('dcmjs-dimse');
const { CStoreRequest, NEventReportRequest } = require('dcmjs-dimse').requests;
const {
  CEchoResponse,
  CFindResponse,
  CGetResponse,
  CMoveResponse,
  CStoreResponse,
  NActionResponse,
  NEventReportResponse,
} = require('dcmjs-dimse').responses;
const { PresentationContextResult, SopClass, Status, TransferSyntax } = require('dcmjs-dimse').constants;

const [port, folder, archive, title, destinations] = process.argv.slice(2);
const accepted = [TransferSyntax.ImplicitVRLittleEndian, TransferSyntax.ExplicitVRLittleEndian];
const names = archive ? fs.readdirSync(archive, { recursive: true }).filter((name) => name.endsWith('.dcm')) : [];
const kept = names.map((name) => Dataset.fromFile(path.join(archive, name)));
const UNIQUE = { STUDY: 'StudyInstanceUID', SERIES: 'SeriesInstanceUID', IMAGE: 'SOPInstanceUID' };
let count = 0;

// The objects whose unique keys are as asked for.
function matching(asked) {
  const fits = (object, key) => !asked.getElement(key) || asked.getElement(key) === object.getElement(key);
  return kept.filter((object) => Object.values(UNIQUE).every((key) => fits(object, key)));
}

// One object for each entity of the level among those.
function entities(asked) {
  const unique = UNIQUE[asked.getElement('QueryRetrieveLevel')];
  return [...new Map(matching(asked).map((object) => [object.getElement(unique), object])).values()];
}

// Requests to store objects; when the last has been answered, `ended` is told how many were.
function storing(objects, ended) {
  let left = objects.length;
  return objects.map((object) => {
    const request = new CStoreRequest(object);
    request.on('done', () => {
      left -= 1;
      if (left === 0) {
        ended(objects.length);
      }
    });
    return request;
  });
}

function counted(response, completed) {
  response.setStatus(Status.Success);
  response.setRemaining(0);
  response.setCompleted(completed);
  response.setFailures(0);
  response.setWarnings(0);
  return response;
}

function answer(object, asked) {
  const keys = Object.keys(asked.getElements()).filter((key) => key !== '_vrMap');
  const values = keys.map((key) => [key, key === 'QueryRetrieveLevel' ? asked.getElement(key) : object.getElement(key)]);
  return new Dataset(Object.fromEntries(values.filter(([, value]) => value !== undefined)));
}

class Receiver extends Scp {
  associationRequested(association) {
    this.association = association;
    for (const { id } of association.getPresentationContexts()) {
      const context = association.getPresentationContext(id);
      const syntax = context.getTransferSyntaxUids().find((uid) => accepted.includes(uid));
      if (syntax) {
        context.setResult(PresentationContextResult.Accept, syntax);
      } else {
        context.setResult(PresentationContextResult.RejectTransferSyntaxesNotSupported);
      }
    }
    this.sendAssociationAccept();
  }

  createStoreWritableStream() {
    const chunks = [];
    const stream = new Writable({
      write(chunk, _encoding, done) {
        chunks.push(Buffer.from(chunk));
        done();
      },
    });
    stream.chunks = chunks;
    return stream;
  }

  createDatasetFromStoreWritableStream(stream, context, callback) {
    const bytes = Buffer.concat(stream.chunks);
    const syntax = context.getAcceptedTransferSyntaxUid();
    const read = new Dataset(bytes, syntax);
    read.received = { bytes, syntax };
    callback(read);
  }

  cEchoRequest(request, callback) {
    console.log('ASKED C-ECHO');
    const response = CEchoResponse.fromRequest(request);
    response.setStatus(Status.Success);
    callback(response);
  }

  cStoreRequest(request, callback) {
    const response = CStoreResponse.fromRequest(request);
    const dataset = request.getDataset();
    if (dataset.getElement('SOPInstanceUID') === request.getAffectedSopInstanceUid()) {
      count += 1;
      const name = `${count}-${dataset.received.syntax}.dataset`;
      fs.writeFileSync(path.join(folder, name), dataset.received.bytes);
      response.setStatus(Status.Success);
    } else {
      response.setStatus(Status.ProcessingFailure);
    }
    callback(response);
  }

  cFindRequest(request, callback) {
    console.log('ASKED C-FIND', JSON.stringify(request.getDataset().getElements()));
    const pending = entities(request.getDataset()).map((object) => {
      const response = CFindResponse.fromRequest(request);
      response.setDataset(answer(object, request.getDataset()));
      response.setStatus(Status.Pending);
      return response;
    });
    const last = CFindResponse.fromRequest(request);
    last.setStatus(Status.Success);
    callback([...pending, last]);
  }

  cMoveRequest(request, callback) {
    const client = new Client();
    const answer = (completed) => callback([counted(CMoveResponse.fromRequest(request), completed)]);
    storing(matching(request.getDataset()), answer).forEach((each) => client.addRequest(each));
    const destination = request.getCommandDataset().getElement('MoveDestination').trim();
    client.send('127.0.0.1', JSON.parse(destinations)[destination], title, destination);
  }

  cGetRequest(request, callback) {
    const answer = (completed) => callback([counted(CGetResponse.fromRequest(request), completed)]);
    this.sendRequests(storing(matching(request.getDataset()), answer));
  }

  // Everything that was received is committed; it is reported over the association of the request.
  nActionRequest(request, callback) {
    console.log('ASKED N-ACTION', JSON.stringify(request.getDataset().getElements()));
    const response = NActionResponse.fromRequest(request);
    response.setStatus(Status.Success);
    callback(response);
    const report = new NEventReportRequest(SopClass.StorageCommitmentPushModel, '1.2.840.10008.1.20.1.1', 1);
    report.setDataset(new Dataset(request.getDataset().getElements()));
    this.sendRequests(report);
  }

  nEventReportRequest(request, callback) {
    console.log('ASKED N-EVENT-REPORT', JSON.stringify(request.getDataset().getElements()));
    const response = NEventReportResponse.fromRequest(request);
    response.setStatus(Status.Success);
    callback(response);
  }

  associationReleaseRequested() {
    this.sendAssociationReleaseResponse();
  }
}

new Server(Receiver).listen(Number(port));
