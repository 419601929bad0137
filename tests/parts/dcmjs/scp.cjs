// A service provider of dcmjs-dimse: node scp.cjs PORT FOLDER [ARCHIVE]
// Each object becomes a file FOLDER/NUMBER-TRANSFER_SYNTAX.dataset of the bytes as they came, once dcmjs has read them.
// Queries are answered from the DICOM files of the folder ARCHIVE. Requests but C-STORE are lines on standard output.
const fs = require('fs');
const path = require('path');
const { Writable } = require('stream');
const { Dataset, Scp, Server } = require('dcmjs-dimse');
const { CEchoResponse, CFindResponse, CStoreResponse, NEventReportResponse } = require('dcmjs-dimse').responses;
const { PresentationContextResult, Status, TransferSyntax } = require('dcmjs-dimse').constants;

const [port, folder, archive] = process.argv.slice(2);
const accepted = [TransferSyntax.ImplicitVRLittleEndian, TransferSyntax.ExplicitVRLittleEndian];
const kept = archive ? fs.readdirSync(archive).map((name) => Dataset.fromFile(path.join(archive, name))) : [];
const UNIQUE = { STUDY: 'StudyInstanceUID', SERIES: 'SeriesInstanceUID', IMAGE: 'SOPInstanceUID' };
let count = 0;

// One object for each entity of the level among those whose unique keys are as asked for.
function entities(asked) {
  const unique = UNIQUE[asked.getElement('QueryRetrieveLevel')];
  const fits = (object, key) => !asked.getElement(key) || asked.getElement(key) === object.getElement(key);
  const found = kept.filter((object) => Object.values(UNIQUE).every((key) => fits(object, key)));
  return [...new Map(found.map((object) => [object.getElement(unique), object])).values()];
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
